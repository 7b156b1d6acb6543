"""Tables of attributes: read in both forms, matched with images, refused with the line, chosen by name."""

import json
import zipfile

import numpy as np
import pytest
import torch
from data_helpers import encoded, pixels, put

from organza.config import ConfigError, Data
from organza.data import ImageStore, check, convert, open_data, open_dataset
from organza.data.attributes import read_table
from organza.data.store import counts

CELEBA = "4\nBlond_Hair Male Young \n000001.jpg -1  1  1 \n000002.jpg 1 -1 1\n000003.jpg -1 -1 -1\n9.jpg 1 1 1\n"
VALUES = {"000001": [0, 1, 1], "000002": [1, 0, 1], "000003": [0, 0, 0]}


class Notes:
    """Keeps what is told."""

    def __init__(self):
        self.told = []

    def step(self, what, done, total):
        """Nothing."""

    def note(self, message):
        self.told.append(message)


@pytest.fixture
def faces(tmp_path):
    """Three faces that CELEBA tells of, and one that it does not."""
    for i, name in enumerate([*VALUES, "000004"]):
        put(tmp_path / "faces" / f"{name}.jpg", encoded(pixels(i), "JPEG"))
    return tmp_path / "faces"


def rows(store):
    return {f"{i + 1:06}": row for i, row in enumerate(store.labels.tolist())}


def test_celebas_table_lies_in_the_folder_or_above_it(faces):
    (faces.parent / "list_attr_celeba.txt").write_text(CELEBA)
    notes = Notes()
    above = open_dataset(faces, progress=notes)
    assert above.classes == ("Blond_Hair", "Male", "Young")
    assert above.labels.dtype == torch.int64
    assert above.has_attributes
    assert rows(above) == VALUES
    assert any("1 of 4 images have no row" in note and "000004.jpg" in note for note in notes.told)
    assert any("1 of 4 rows" in note and "9.jpg" in note for note in notes.told)
    (faces.parent / "list_attr_celeba.txt").rename(faces / "list_attr_celeba.txt")
    inside = open_dataset(faces)
    assert inside.fingerprint == above.fingerprint
    assert torch.equal(inside.images, above.images)
    assert counts(inside.labels, 3).tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "filename,Blond_Hair,Male,Young\n000001.jpg,0,1,1\n000002.jpg,1,0,1\n000003.jpg,0,0,0\n",
        "image_id;Blond Hair;Male;Young\r\n000003;FALSE;False;false\r\n000001;false;true;1\r\n000002;1;false;true\r\n",
        "\ufefffile\tBlond_Hair\tMale\tYoung\n./000001.jpg\t-1\t1\t1\n000002.jpg\t1\t-1\t1\n\n000003.jpg\t-1\t-1\t-1\n",
        '"name","Blond,Hair","Male","Young"\n"000001.jpg",0.0,1.0,1.0\n000002.jpg,1.0,0.0,1.0\n000003.jpg,0.0,0.0,0.0\n',
    ],
)
@pytest.mark.parametrize("called", ["attributes.csv", "people.csv"])
def test_tables_of_commas(faces, text, called):
    (faces / called).write_text(text, encoding="utf-8")
    store = open_dataset(faces)
    assert store.classes == ("Blond_Hair", "Male", "Young")
    assert rows(store) == VALUES


def test_what_is_no_table_is_left_alone(faces):
    (faces / "list_eval_partition.csv").write_text("image_id,partition\n000001.jpg,0\n000002.jpg,2\n")
    (faces / "list_bbox.csv").write_text("image_id,x_1,y_1\n000001.jpg,95,71\n")
    (faces / "prices.csv").write_text("a,b,c\n0,1,0\n")
    (faces / "encoded.csv").write_text(f"filename,a,b\n000001.jpg,1,{'x' * 140_000}\n")  # more than csv reads
    (faces.parent / "people.csv").write_text("filename,A,B\n000001.jpg,0,1\n")  # not called as tables are
    (faces.parent / "attributes.csv").write_text("filename,A,B\nother.jpg,0,1\n")  # of another folder
    store = open_dataset(faces)
    assert store.labels is None
    assert len(store) == 4


def test_classes_come_first_unless_attributes_are_asked_for(tmp_path):
    for i, name in enumerate(["cat/1.png", "cat/2.png", "dog/3.png"]):
        put(tmp_path / name, encoded(pixels(i)))
    put(tmp_path / "attributes.csv", b"filename,Small,Brown\ncat/1.png,1,0\ncat/2.png,0,0\ndog/3.png,1,1\n")
    assert open_dataset(tmp_path).classes == ("cat", "dog")
    chosen = open_data(Data(source=str(tmp_path), attributes=("Brown", "Small")))
    assert chosen.classes == ("Brown", "Small")
    assert chosen.labels.tolist() == [[0, 1], [0, 0], [1, 1]]
    put(tmp_path / "dataset.json", json.dumps({"labels": {f: i for i, f in enumerate(
        ["cat/1.png", "cat/2.png", "dog/3.png"])}}).encode())  # fmt: skip
    assert open_dataset(tmp_path).labels.tolist() == [0, 1, 2]


def test_some_attributes_in_the_order_asked_for(faces):
    (faces / "list_attr_celeba.txt").write_text(CELEBA)
    whole, some = open_dataset(faces), open_dataset(faces, attributes=("Young", "Blond_Hair"))
    assert some.labels.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert some.fingerprint != whole.fingerprint
    assert some.fingerprint != open_dataset(faces, attributes=("Blond_Hair", "Young")).fingerprint
    assert open_dataset(whole, attributes=("Male",)).labels.tolist() == [[1], [0], [0]]
    for names, message in [
        (("Yong",), "no attribute 'Yong'; did you mean 'Young'"),
        (("Male", "Male"), "names one twice"),
    ]:
        with pytest.raises(ConfigError, match=message):
            open_dataset(faces, attributes=names)
    with pytest.raises(ConfigError, match=r"has no table of them; put CelebA's list_attr_celeba\.txt into the folder"):
        open_dataset(ImageStore("plain", torch.zeros(2, 1, 4, 4, dtype=torch.uint8)), attributes=("Male",))


def test_a_zip_has_its_table_inside_or_beside_it(faces, tmp_path):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for file in sorted(faces.iterdir()):
            archive.write(file, f"img/{file.name}")
    (tmp_path / "list_attr_celeba.txt").write_text(CELEBA)
    assert rows(open_dataset(tmp_path / "faces.zip")) == VALUES
    (tmp_path / "list_attr_celeba.txt").unlink()
    with zipfile.ZipFile(tmp_path / "faces.zip", "a") as archive:
        archive.writestr("list_attr_celeba.txt", CELEBA)
    assert rows(open_dataset(str(tmp_path / "faces.zip"))) == VALUES


def test_a_converted_set_keeps_its_attributes(faces, tmp_path):
    (faces / "list_attr_celeba.txt").write_text(CELEBA)
    store, again = open_dataset(faces), open_dataset(convert(faces, tmp_path / "made.zip"))
    assert again.classes == store.classes
    assert torch.equal(again.labels, store.labels)
    assert again.fingerprint == store.fingerprint
    for labels, classes in (([[0, 2]], ["a", "b"]), ([[0, 1]], ["a"]), ([[0, 1]], []), ([[0, 1], 1], ["a", "b"])):
        folder = tmp_path / f"bad-{labels}-{len(classes)}"
        given = {f"{i}.png": label for i, label in enumerate(labels)}
        for i, name in enumerate(given):
            put(folder / name, encoded(pixels(i)))
        put(folder / "dataset.json", json.dumps({"labels": given, "classes": classes}).encode())
        with pytest.raises(ConfigError, match="0 or 1 for each of"):
            open_dataset(folder)


def test_check_tells_of_the_table(faces):
    (faces / "list_attr_celeba.txt").write_text(CELEBA)
    report = check(faces)
    assert report.attributes == {"Blond_Hair": 1, "Male": 1, "Young": 2}
    assert (report.count, report.classes) == (3, {})
    assert (report.without_row, report.without_image) == (("000004.jpg",), ("9.jpg",))
    assert report.table.endswith("list_attr_celeba.txt")
    assert not report.problem
    (faces / "list_attr_celeba.txt").write_text(CELEBA.replace("000002.jpg 1", "000002.jpg 3"))
    assert f"{faces}/list_attr_celeba.txt:4: Blond_Hair is '3'; it takes 0 or 1" in check(faces).problem


BAD = [
    ("", "is empty"),
    ("filename,A\n", "has no rows"),
    ("1.jpg,0,1\n2.jpg,1,1\n", r"t\.csv:1: a row in the place of the head"),
    (f"filename,A\n1.jpg,{'1' * 140_000}\n", "is no table: field larger"),
    ("2\nA B\n1.jpg 1 -1\n", r"has 1 rows, but its first line says 2"),
    ("filename,A,B\n1.jpg,0,1\n2.jpg,0,yes\n", r"t\.csv:3: B is 'yes'; it takes 0 or 1"),
    ("filename,A,B\n1.jpg,0,1\n2.jpg,0,\n", r"t\.csv:3: B is ''"),
    ("filename,A,B\n1.jpg,0,1\n\n2.jpg,0\n", r"t\.csv:4: 1 values for 2 attributes"),
    ("A B\n1.jpg 1 -1\n2.jpg 1 -1 1\n", r"t\.csv:3: 3 values for 2 attributes"),
    ("filename,A,B\n1.jpg,0,1\n1.jpg,0,1\n", r"t\.csv:3: a second row of 1\.jpg"),
    ("filename,A,B\n1.jpg,-1,1\n2.jpg,0,1\n", r"t\.csv:3: both 0 and -1"),
    ("filename,A,A\n1.jpg,-1,1\n", r"t\.csv:1: names are empty or there twice"),
    ("filename,A,\n1.jpg,-1,1\n", r"t\.csv:1: names are empty"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_table_that_is_none_is_refused_with_the_line(text, message):
    with pytest.raises(ConfigError, match=message):
        read_table(text.encode(), "t.csv")


def test_two_tables_and_doubtful_names_are_refused(faces):
    (faces / "attributes.csv").write_text("filename,A,B\nx.jpg,0,1\n")
    with pytest.raises(ConfigError, match=r"has no row for any image .* an image is 000001\.jpg"):
        open_dataset(faces)
    (faces / "list_attr_celeba.txt").write_text(CELEBA)
    with pytest.raises(ConfigError, match="two tables of attributes"):
        open_dataset(faces)
    (faces / "attributes.csv").unlink()
    put(faces / "more" / "000001.jpg", encoded(pixels(9), "JPEG"))
    (faces / "list_attr_celeba.txt").write_text("A B\nface/000001.jpg 1 -1\n")
    with pytest.raises(ConfigError, match=r"two files that .* means are called 000001\.jpg"):
        open_dataset(faces, attributes=("A",))


def test_a_large_table_is_read_in_seconds():
    random = np.random.RandomState(0).choice([-1, 1], (20_000, 40))
    text = "\n".join(f"{i:06}.jpg " + " ".join(map(str, row)) for i, row in enumerate(random))
    table = read_table(f"20000\n{' '.join(f'a{i}' for i in range(40))}\n{text}\n".encode(), "t.txt")
    assert len(table.rows) == 20_000
    assert table.rows["000007.jpg"] == tuple(random[7])
