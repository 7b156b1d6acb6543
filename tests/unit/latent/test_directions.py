import numpy as np
import pytest
import torch
from editing_helpers import tiny

import organza
from organza.config import ConfigError
from organza.latent.directions import from_labels, ganspace, principal, read_labels, sefa, towards
from organza.latent.editing import (
    Directions,
    codes_of,
    edit,
    grid,
    load_directions,
    save_directions,
    strengths,
    strip,
)
from organza.latent.readers import readers
from organza.latent.sampling import latents
from organza.latent.space import LatentSpace


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(one, other):
    return abs(float(torch.nn.functional.cosine_similarity(one.float(), other.float(), dim=0)))


@pytest.fixture(scope="module")
def gan():
    return tiny("stylegan2", shape=(3, 16, 16))


def test_sefa_has_the_eigenvectors_of_the_affine_maps(gan):
    made = gan.generator.synthesis
    affine = [layer.affine for layer in (made.b4.torgb, made.b8.conv0)]  # which read w number 1
    matrix = np.concatenate([layer.weight.numpy() * layer.scale for layer in affine]).astype(np.float64)
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    found = sefa(gan, layers=[1])
    assert found.layers == (1,)
    assert len(found) == 8
    for at in range(8):
        assert cosine(found.basis[at], torch.from_numpy(vectors[:, 7 - at])) == pytest.approx(1, abs=1e-5)
    assert found.explained == pytest.approx((values[::-1] / values.sum()).tolist(), rel=1e-4)
    assert (found.basis.gather(1, found.basis.abs().argmax(1, keepdim=True)) > 0).all()
    w = codes_of(gan, range(2000))[0][:, 0]
    assert float(found.std[0]) == pytest.approx(float(w.var(0).mean().sqrt()), rel=0.1)
    assert sefa(gan, n=3).layers == tuple(range(6))
    assert len(sefa(gan, n=3)) == 3


def test_sefa_without_w_looks_behind_the_noise():
    gan = tiny("mlp", ("a", "b"))
    gan.generator.layers[0].weight.copy_(torch.cat([torch.diag(torch.arange(1.0, 9)), torch.full((8, 2), 50.0)], 1))
    found = sefa(gan, n=2)
    assert found.basis.argmax(1).tolist() == [7, 6]  # the columns of labels have no part in it
    assert found.basis.max(1).values == pytest.approx(torch.ones(2), abs=1e-5)
    assert found.std.tolist() == [1, 1]


def test_every_part_of_a_noise_has_its_own_weights():
    gan = tiny("biggan", z_dim=24)
    latent = LatentSpace(gan.generator)
    assert (latent.layers, latent.width) == (3, 8)
    wanted = [m.weight for m in gan.generator.blocks[1].modules() if isinstance(m, torch.nn.Linear)]
    found = readers(latent)
    assert [len(part) for part in found] == [1, 4, 4]
    assert torch.equal(found[0][0], gan.generator.linear.weight)
    assert sorted(float(w.sum()) for w in found[2]) == pytest.approx(sorted(float(w.sum()) for w in wanted))
    assert sefa(gan, layers=[2]).layers == (2,)
    with pytest.raises(ConfigError, match="nothing in common"):
        sefa(gan, layers=[0, 1])
    with pytest.raises(ConfigError, match="from 0 to 2"):
        sefa(gan, layers=[3])
    with pytest.raises(ConfigError, match="SeFa can"):
        ganspace(gan, layers=[1])


def test_ganspace_has_the_principal_components(gan):
    found = ganspace(gan, n=3, samples=500, seed=4)
    w = gan.generator.mapping(normal(500, 8, seed=4)).double().numpy()
    values, vectors = np.linalg.eigh(np.cov(w.T))
    for at in range(3):
        assert cosine(found.basis[at], torch.from_numpy(vectors[:, 7 - at])) == pytest.approx(1, abs=1e-4)
        assert float(found.std[at]) == pytest.approx(values[7 - at] ** 0.5, rel=1e-3)
    assert found.layers == tuple(range(6))


def test_principal_components_of_few_samples_with_many_numbers():
    wide = normal(12, 50)
    values, basis, scores = principal(wide)
    _, singular, right = np.linalg.svd((wide - wide.mean(0)).double().numpy(), full_matrices=False)
    assert values.numpy() == pytest.approx(singular[:11] ** 2 / 11, rel=1e-6)
    assert basis.shape == (11, 50)
    assert all(cosine(basis[at], torch.from_numpy(right[at])) > 1 - 1e-6 for at in range(11))
    assert scores.var(0).numpy() == pytest.approx(values.numpy(), rel=1e-4)


def test_ganspace_without_w_leads_components_back_to_the_noise():
    gan = tiny("mlp", norm="none", slope=1.0)  # linear: the components are the singular vectors of its weights
    found = ganspace(gan, n=2, samples=4000)
    _, _, right = torch.linalg.svd(gan.generator.layers[0].weight)
    assert cosine(found.basis[0], right[0]) > 0.98
    assert found.std[0] == pytest.approx(1, abs=0.1)
    assert found.basis.norm(dim=1) == pytest.approx(torch.ones(2), abs=1e-5)


def test_labels_that_a_line_separates(tmp_path):
    gan = tiny("mlp")
    way = torch.nn.functional.normalize(normal(8, seed=9), dim=0)
    told = (latents(range(400), 8) @ way > 0).tolist()
    (tmp_path / "seen.csv").write_text("seed,label\n" + "".join(f"{i},{['no', 'yes'][told[i]]}\n" for i in range(400)))
    for method in ("means", "classifier"):
        found = from_labels(gan, tmp_path / "seen.csv", method=method)
        assert found.names == ("no to yes",)
        assert float(found.basis[0] @ way) > 0.95
        assert float(found.std[0]) == pytest.approx(1, abs=0.15)
    three = from_labels(gan, {i: str(i % 3) for i in range(30)})
    assert three.names == ("0", "1", "2")
    assert three.basis.shape == (3, 8)


def test_a_classifier_leaves_out_what_only_goes_along():
    cause = normal(2000, 1)
    codes = torch.cat([cause, cause + 0.3 * normal(2000, 1, seed=1), normal(2000, 1, seed=2)], 1)
    chosen = (cause[:, 0] > 0).tolist()
    means, normal_of = (towards(codes, chosen, method) for method in ("means", "classifier"))
    assert float(means[1]) == pytest.approx(float(means[0]), rel=0.05)
    assert float(normal_of[0]) > 0.9
    assert abs(float(normal_of[1])) < 0.3


def test_classes_and_digits():
    gan = tiny("stylegan2", ("cat", "dog", "owl"))
    found = from_labels(gan, samples=90)
    assert found.names == ("cat", "dog", "owl")
    w = codes_of(gan, range(90))[0][:, 0]
    away = w[1::3].mean(0) - w[torch.arange(90) % 3 != 1].mean(0)
    assert cosine(found.basis[1], away) > 1 - 1e-4
    with pytest.raises(ConfigError, match="no w"):
        from_labels(tiny("dcgan", ("a", "b")))
    with pytest.raises(ConfigError, match="no classes"):
        from_labels(tiny("stylegan2"))
    with pytest.raises(ConfigError, match="28x28"):
        from_labels(gan, "digits")


def test_digits_are_seen_in_the_samples():
    gan, store = tiny("mlp", shape=(1, 28, 28), norm="none", depth=1, slope=1.0), organza.open_dataset("mnist")
    three, seven = (store.images[store.labels == digit][0].flatten() / 127.5 - 1 for digit in (3, 7))
    gan.generator.layers[0].weight.copy_(torch.eye(8))
    gan.generator.layers[0].bias.zero_()
    gan.generator.head.weight.zero_()[:, 2] = 20 * (seven - three)  # a seven where z 2 is positive
    gan.generator.head.bias.copy_(three + seven)
    found = from_labels(gan, "digits", samples=200)
    assert found.names == ("3 to 7",)
    assert float(found.basis[0, 2]) > 0.9


def test_label_files_that_are_wrong(tmp_path):
    gan, file = tiny("mlp"), tmp_path / "labels.csv"
    with pytest.raises(FileNotFoundError, match="classes, digits or a CSV"):
        from_labels(gan, file)
    for text, words in (
        ("1,a\n2\n", "line 2 of labels.csv"), ("1,a\nx,b\n", "line 2"), ("1,a\n2,a\n", "only 'a'"),
        ("1,a\n2,a\n3,b\n", "'b' has a single sample"), ("", "two labels"), ("99999999999,a\n2,b\n", "line 1"),
        ("1,a\n²,b\n", "line 2"), ("1,a\n2," + "b" * 140_000, "no CSV file"),
    ):  # fmt: skip
        file.write_text(text)
        with pytest.raises(ConfigError, match=words):
            from_labels(gan, file)
    file.write_bytes(b"\xff\xfe1\x00,\x00a\x00")
    with pytest.raises(ConfigError, match=r"labels\.csv is no CSV file in UTF-8"):
        read_labels(file)
    file.write_text("seed,label,class\n3,x,b\n4,y,a\n")
    assert read_labels(file) == ([3, 4], ["x", "y"], ["b", "a"])


def test_edits_move_codes_by_deviations(gan):
    codes, _ = codes_of(gan, [3, 4])
    way = Directions(torch.eye(8)[:2], torch.tensor([2.0, 0.5]), (1, 4), "ours")
    moved = way.moved(codes, 1, 3.0) - codes
    assert moved[:, [1, 4], 1] == pytest.approx(torch.full((2, 2), 1.5), abs=1e-5)
    assert float(moved.abs().sum()) == pytest.approx(2 * 2 * 1.5, rel=1e-4)
    assert (way.moved(codes, 0, 1.0, [0]) - codes)[0, 0, 0] == pytest.approx(2.0, abs=1e-5)
    images = edit(gan, codes, way, 0, [-1, 0, 1])
    assert images.shape == (6, 3, 16, 16)
    assert torch.equal(images[[1, 4]], gan.sample(seeds=[3, 4]))
    assert not torch.equal(images[0], images[2])
    square = grid(gan, codes[:1], way, (0, 1), [-1, 0, 1])
    assert torch.equal(square[4], images[1])
    assert torch.equal(square[[1, 7]], images[[0, 2]])  # rows are the first direction
    rows = strip(gan, codes[:1], way, [1, 0], [-1, 0, 1])
    assert torch.equal(rows[3:], images[:3])
    assert strengths(3, 7) == [-3, -2, -1, 0, 1, 2, 3]
    for call, words in (
        (lambda: strip(gan, codes[:1], way, [0, 2], [0]), "no direction 2: ours has 2, from 0 to 1"),
        (lambda: way.moved(codes, 0, 1, [6]), "from 0 to 5"), (lambda: way.moved(codes[..., :5], 0, 1), "another"),
        (lambda: strengths(0, 7), "strength"), (lambda: strengths(3, 1), "columns"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            call()


def test_directions_are_kept_without_code(gan, tmp_path):
    found = from_labels(gan, {i: "ab"[i % 2] for i in range(10)})
    save_directions(found, tmp_path / "x")
    again = load_directions(tmp_path / "x.safetensors")
    assert torch.equal(again.basis, found.basis)
    assert torch.equal(again.std, found.std)
    assert (again.layers, again.name, again.names) == (found.layers, found.name, found.names)
    assert '"names"' in (tmp_path / "x.json").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.json", "x.safetensors"]
    (tmp_path / "y.safetensors").write_bytes(b"not one")
    with pytest.raises(ConfigError, match="no directions of Organza"):
        load_directions(tmp_path / "y.safetensors")
    with pytest.raises(FileNotFoundError):
        load_directions(tmp_path / "z")
