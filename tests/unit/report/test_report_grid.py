import numpy as np
import pytest
import torch
from PIL import Image

from organza.report.grid import GAP, GAP_COLOUR, SIDE, grid_image, picture, save_png, scatter_image


def ramp(n, c, h, w):
    return torch.arange(n * c * h * w).remainder(256).to(torch.uint8).reshape(n, c, h, w)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGB"), (7, "RGB")])
def test_every_number_of_channels_has_a_picture(channels, mode):
    image = grid_image(ramp(5, channels, 6, 9))
    assert image.mode == mode
    assert max(image.size) >= 48


def test_pixels_are_kept_and_enlarged_by_a_whole_factor():
    images = ramp(4, 1, 28, 28)
    pixels = np.asarray(grid_image(images, columns=2))
    assert pixels.shape == (2 * 56 + GAP, 2 * 56 + GAP)
    assert np.array_equal(pixels[:56:2, 58::2], images[1, 0].numpy())
    assert np.array_equal(pixels[58::2, 1:56:2], images[2, 0].numpy())


def test_large_images_keep_their_size_and_missing_cells_are_blank():
    pixels = np.asarray(grid_image(torch.zeros(5, 3, 64, 64, dtype=torch.uint8)))
    assert pixels.shape == (64 * 2 + GAP, 64 * 3 + 2 * GAP, 3)
    assert (pixels[-64:, -64:] == GAP_COLOUR).all()
    assert (pixels[-64:, :64] == 0).all()


def test_columns_follow_the_shape_of_the_images():
    wide, high = grid_image(ramp(12, 1, 50, 200)), grid_image(ramp(12, 1, 200, 50))
    assert wide.width < 3 * wide.height
    assert high.height < 3 * high.width


def test_sixteen_bits_and_floats_are_scaled_for_display():
    deep = torch.from_numpy(np.array([0, 32768, 65535, 256], np.uint16).reshape(1, 1, 2, 2))
    assert np.asarray(grid_image(deep))[::24, ::24].tolist() == [[0, 128], [255, 1]]
    floats = torch.tensor([-1.0, 0.0, float("nan"), 1.0]).reshape(1, 1, 2, 2)
    assert np.asarray(grid_image(floats))[::24, ::24].tolist() == [[0, 128], [0, 255]]


def test_transparency_shows_a_checkerboard_and_opaque_pixels_stay():
    images = torch.full((1, 4, 48, 48), 10, dtype=torch.uint8)
    images[:, 3, :24], images[:, 3, 24:] = 0, 255
    pixels = np.asarray(grid_image(images))
    assert set(np.unique(pixels[:24])) == {214, 246}
    assert (pixels[24:] == 10).all()


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (3, 8, 8), (4, 0, 8, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[N, C, H, W\]"):
        grid_image(torch.zeros(shape, dtype=torch.uint8))


def test_columns_below_one_are_refused():
    with pytest.raises(ValueError, match="columns"):
        grid_image(ramp(2, 1, 8, 8), columns=0)


def test_a_point_is_drawn_where_it_lies():
    pixels = np.asarray(scatter_image(torch.tensor([[0.5, 0.5]]), limits=(-1, 1, -1, 1))).astype(int)
    rows, columns = np.nonzero((pixels != 255).any(axis=2))
    assert abs(rows.mean() + 0.5 - SIDE * 0.25) < 0.5
    assert abs(columns.mean() + 0.5 - SIDE * 0.75) < 0.5
    assert 20 < len(rows) < 80


def test_real_points_are_grey_and_generated_ones_are_not():
    real, fake = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.5]])
    spread = np.ptp(np.asarray(scatter_image(fake, real=real)).astype(int), axis=2)
    only_real = np.ptp(np.asarray(scatter_image(fake[:0], real=real)).astype(int), axis=2)
    assert spread.max() > 80
    assert 0 < only_real.max() < 15


def test_the_scale_is_that_of_the_real_points():
    real = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    far = scatter_image(torch.full((3, 2), 1e9), real=real)
    assert far.tobytes() == scatter_image(torch.zeros(0, 2), real=real).tobytes()


@pytest.mark.parametrize(
    "points", [torch.zeros(0, 2), torch.full((4, 2), float("nan")), torch.zeros(3, 1), torch.full((2, 2), 1e30)]
)
def test_degenerate_points_do_not_fail(points):
    assert scatter_image(points).size == (SIDE, SIDE)


def test_points_on_and_beyond_the_border_do_not_fail():
    line = torch.linspace(-1.1, 1.1, 2001)
    for points in (torch.stack([line, line], 1), torch.stack([line, -line], 1)):
        assert scatter_image(points, limits=(-1, 1, -1, 1)).size == (SIDE, SIDE)


def test_more_dimensions_are_projected_on_the_first_two():
    points = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    assert scatter_image(points).tobytes() == scatter_image(points[:, :2]).tobytes()


def test_picture_chooses_by_dimension():
    assert picture(ramp(4, 3, 64, 64), columns=4).size == (4 * 64 + 3 * GAP, 64)
    assert picture(torch.zeros(4, 2), real=torch.ones(4, 2)).size == (SIDE, SIDE)
    with pytest.raises(ValueError, match="shape"):
        picture(torch.zeros(2, 2, 2))


def test_a_png_is_whole_and_carries_its_text(tmp_path):
    path = tmp_path / "a.png"
    save_png(grid_image(ramp(1, 1, 8, 8)), path)
    save_png(grid_image(ramp(4, 3, 8, 8)), path, {"Title": "vier — 四"})
    with Image.open(path) as image:
        assert image.mode == "RGB"
        assert image.info["Title"] == "vier — 四"
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_write_leaves_the_old_picture(tmp_path):
    path = tmp_path / "a.png"
    save_png(grid_image(ramp(1, 1, 8, 8)), path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="mode"):
        save_png(Image.new("HSV", (2, 2)), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
