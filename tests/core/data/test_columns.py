"""Columns of a table are real, binary or categories, and what is neither is named by row and column."""

import numpy as np
import pytest

from pocketvae.data.columns import encoded, found_channels, read_columns
from pocketvae.errors import DataError
from pocketvae.fields import Channel, ChannelKind

TABLE = "length,material,coated,grade\n1.5,steel,1,3\n2,brass,0,1\n2.5,steel,0,3\n"


def written(tmp_path, text=TABLE):
    path = tmp_path / "t.csv"
    path.write_text(text, "utf-8")
    return path


def test_columns_are_found_by_their_values(tmp_path):
    table = read_columns(written(tmp_path))
    channels = found_channels(table, ["grade"], real_alone=False)
    assert channels == (
        Channel(name="length"),
        Channel(name="material", kind=ChannelKind.CATEGORY, categories=("brass", "steel")),
        Channel(name="coated", kind=ChannelKind.BINARY),
        Channel(name="grade", kind=ChannelKind.CATEGORY, categories=("1", "3")),
    )
    expected = [[1.5, 0, 1, 1, 0, 1], [2, 1, 0, 0, 1, 0], [2.5, 0, 1, 0, 0, 1]]
    np.testing.assert_array_equal(encoded(table, channels), expected)


def test_numbers_are_real_where_nothing_else_is_known(tmp_path):
    table = read_columns(written(tmp_path), ["grade", "coated"])
    assert found_channels(table, [], real_alone=True) == (Channel(name="grade"), Channel(name="coated"))
    np.testing.assert_array_equal(encoded(table, (Channel(), Channel())), [[3, 1], [1, 0], [3, 0]])


def test_truth_is_binary_in_words_too(tmp_path):
    table = read_columns(written(tmp_path, "a,b\n1,True\n2,false\n"))
    _, flag = found_channels(table, [], real_alone=True)
    assert flag.kind is ChannelKind.BINARY
    np.testing.assert_array_equal(encoded(table, (Channel(), flag)), [[1, 1], [2, 0]])


def test_parquet_holds_the_same_columns(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = {"length": [1.5, 2.0], "material": ["steel", "tin"], "coated": [True, False]}
    parquet.write_table(pyarrow.table(names), tmp_path / "t.parquet")
    table = read_columns(tmp_path / "t.parquet")
    kinds = [channel.kind for channel in found_channels(table, [], real_alone=False)]
    assert kinds == [ChannelKind.REAL, ChannelKind.CATEGORY, ChannelKind.BINARY]
    parquet.write_table(pyarrow.table({"a": [1.0], "__index_level_0__": [7]}), tmp_path / "t.parquet")
    assert read_columns(tmp_path / "t.parquet").names == ("a",)
    parquet.write_table(pyarrow.table({"__index_level_0__": [7]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet must hold columns, got none"):
        read_columns(tmp_path / "t.parquet")
    parquet.write_table(pyarrow.table({"a": [1.0, None]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"row 1 \(from 0\), column 'a': must be given, got a missing value"):
        read_columns(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "row 3: every row must have 2 columns as the first, got 1"),
        ("a,b\n1,2\n3,\n", "row 3, column 'b': must be given, got a missing value: fill it in, or delete the row"),
        ("a,a\n1,2\n", "must have columns of different names, got two of 'a'"),
        ("a,b\n", "must hold rows, got none"),
        ("a\n1\n2\nerror\n4\n", "row 4, column 'a': must be a number like most others, or a category .*, got 'error'"),
        ("a\n1\n2\nnan\n4\n", "row 4, column 'a': must be a number like most others, .* got 'nan'"),
        ("a\n" + "".join(f"part{index}\n" for index in range(65)), "'a': a category must have at most 64 .* got 65"),
    ],
)
def test_what_is_no_column_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        found_channels(read_columns(written(tmp_path, text)), [], real_alone=False)


def test_values_that_the_model_does_not_know_are_named(tmp_path):
    table = read_columns(written(tmp_path))
    known = Channel(name="material", kind=ChannelKind.CATEGORY, categories=("steel", "tin"))
    with pytest.raises(DataError, match="row 3, column 'material': must be one of steel, tin, got 'brass'"):
        encoded(table.chosen(["material"]), (known,))
    with pytest.raises(DataError, match="row 2, column 'grade': must be 0 or 1, got '3'"):
        encoded(table.chosen(["grade"]), (Channel(name="grade", kind=ChannelKind.BINARY),))
    with pytest.raises(DataError, match="has no column 'lenght': did you mean 'length'"):
        table.chosen(["lenght"])
