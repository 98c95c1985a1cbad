import numpy as np
import pytest

from pocketvae.data.tables import read_table
from pocketvae.errors import DataError


def table(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    "text", ["a,b\n1,2.5\n3,-4e1\n", "1,2.5\n3,-4e1", "\ufeffa;b\n1;2.5\n\n3;-4e1\n", '"a"\t\n1\t2.5\r\n3\t-4e1\r\n']
)
def test_a_table_has_a_header_or_none(tmp_path, text):
    found = read_table(table(tmp_path, text))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([[1, 2.5], [3, -40]], np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", r"t\.csv, row 3: every row must have 2 columns as the first, got 1"),
        ("a,b\n1,2\n3,four\n", r"t\.csv, row 3, column 2 \(b\): must be a finite number, got 'four'"),
        ("1,2\n3,\n", r"t\.csv, row 2, column 2: must be a finite number, got an empty cell"),
        ("1,nan\n3,4\n", r"row 1, column 2: must be a finite number, got 'nan'"),
        ("1,2\n3,1e39\n", r"row 2, column 2: must be a finite number, got '1e39', which is too large for float32"),
        ("1,2\n3,1e999\n", r"row 2, column 2: must be a finite number, got '1e999', which is too large for float32"),
        ("1,5;2.500,25\n", r"row 1, column 2: must be a finite number, got '5;2\.500'"),
        ("1,two\n3,4\n", r"row 1, column 2: must be a finite number, got 'two'"),
        ("a,b\n", r"t\.csv must hold rows of numbers, got none below its header"),
        ("", r"t\.csv must hold rows of numbers, got none"),
        ("a,b\n1," + "2" * 200000, r"t\.csv cannot be read: field larger than field limit"),
    ],
)
def test_what_is_not_a_table_is_named_by_row_and_column(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_table(table(tmp_path, text))


@pytest.mark.parametrize("text", ["a;b\n1;2,5\n3;-4e1\n", "1,0;2,5\n3,0;-4,0e1\n", " 1\t2,5\n3\t-40\n"])
def test_decimal_commas_are_read_where_something_else_separates_cells(tmp_path, text):
    np.testing.assert_array_equal(read_table(table(tmp_path, text)), np.array([[1, 2.5], [3, -40]], np.float32))


def test_other_text_than_utf_8_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"t\.csv must be text in UTF-8"):
        read_table(tmp_path / "t.csv")
