"""CSV to tables: delimiters, headers, labels, missing values, and what is refused why."""

from __future__ import annotations

import numpy as np
import pytest
from serving.handler.payloads import PayloadError
from serving.handler.tables import Dialect, Features, headers, read

THREE = Features(count=3)
NAMED = Features(names=["a", "b", "c"])
PADDED = Features(count=3, fewer_allowed=True)
MIXED = Features(names=["a", "b", "c"], categorical=["b"])
NAN = float("nan")


def same(table, rows) -> bool:
    return np.array_equal(table.array, np.array(rows, np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"1,2,3", [[1, 2, 3]]),
        (b"1,2,3\n4,5,6\n", [[1, 2, 3], [4, 5, 6]]),
        (b"1,2,3\r\n4,5,6\r\n", [[1, 2, 3], [4, 5, 6]]),
        (b"1,2,3\r4,5,6", [[1, 2, 3], [4, 5, 6]]),
        (b"\n\n1,2,3\n\n4,5,6\n \n", [[1, 2, 3], [4, 5, 6]]),
        (b"\xef\xbb\xbf1,2,3", [[1, 2, 3]]),
        (b"1;2;3", [[1, 2, 3]]),
        (b"1\t2\t3", [[1, 2, 3]]),
        (b"1|2|3", [[1, 2, 3]]),
        (b"1 2 3\n4 5 6 ", [[1, 2, 3], [4, 5, 6]]),
        (b"1, 2,  3", [[1, 2, 3]]),
        (b"1,,3\n,,", [[1, NAN, 3], [NAN, NAN, NAN]]),
        (b"\t2\t", [[NAN, 2, NAN]]),
        (b"1,nan,NaN", [[1, NAN, NAN]]),
        (b"-1.5e-3,+2,.5", [[-1.5e-3, 2, 0.5]]),
        (b'"1","2",3', [[1, 2, 3]]),
        (b'"1", "",3\r\n4,5,6', [[1, NAN, 3], [4, 5, 6]]),
    ],
)
@pytest.mark.parametrize("features", [THREE, NAMED, Features()])
def test_rows_of_numbers(body, rows, features):
    table = read(body, "text/csv", features)
    assert same(table, rows)
    assert (table.rows, table.single, table.columns) == (len(rows), False, None)


@pytest.mark.parametrize(
    "kind",
    [
        *("text/csv", "TEXT/CSV", "csv", "application/csv", "text/csv; charset=utf-8"),
        'Text/Csv;charset="UTF-8" ;header=absent',
    ],
)
def test_names_of_the_content_type(kind):
    assert same(read(b"1,2,3", kind, THREE), [[1, 2, 3]])


@pytest.mark.parametrize("features", [NAMED, MIXED])
def test_a_header_puts_columns_in_order(features):
    table = read(b"c,b,a\n3,2,1\n", "text/csv", features)
    if features is NAMED:
        assert same(table, [[1, 2, 3]])
    else:
        assert {k: v.tolist() for k, v in table.columns.items()} == {"a": [1], "b": ["2"], "c": [3]}


def test_a_header_that_the_model_has_no_names_for_is_left_out_where_it_is_told_of():
    assert same(read(b"x,y,z\n1,2,3", "text/csv; header=present", THREE), [[1, 2, 3]])


NUMBERED = Features(names=["0", "1", "2"])
YEARS = Features(names=["2019", "2020"])


@pytest.mark.parametrize(
    ("features", "body"),
    [
        (THREE, b"0,1,2\n1,2,3"),  # a DataFrame of an array
        (THREE, b'"0","1","2"\r\n1,2,3\r\n'),
        (THREE, b"\xef\xbb\xbf0 1 2\n1 2 3"),
        (NAMED, b"0,1,2\n1,2,3"),
        (Features(), b"0,1,2\n0,0,1"),
        (NUMBERED, b"2,1,0\n1,2,3"),
        (NUMBERED, b"0,1,2\n2,0,1"),  # ranks, or the first of them the names
        (THREE, b"0,1,2\n2,0,1"),
        (THREE, b"0,1,2\n0,1,2\n3,4,5"),  # a DataFrame of arange
        (Features(names=["0", "1"]), b"0,1\n1,1\n0,0"),  # flags
        (Features(names=["0"]), b"0\n0.5"),
        (Features(count=2), b"0,1\n0,1\n2,3"),
        (PADDED, b"0,1\n0.5,1"),
        (YEARS, b"2020,2019\n1,2"),
        (Features(names=["7"]), b"7\n1"),
        (Features(count=2), b"0,1\n0.5,1"),
    ],
)
def test_a_row_of_numbers_that_may_be_names_is_refused(features, body):
    with pytest.raises(PayloadError, match=r"may be the names of the columns or values.*header="):
        read(body, "text/csv", features)


@pytest.mark.parametrize(
    ("features", "rows"),
    [
        (THREE, [[0, 1, 2]]),  # alone it is no header
        (THREE, [[2, 1, 0], [1, 2, 3]]),
        (THREE, [[1, 2, 3], [4, 5, 6]]),
        (NUMBERED, [[0, 1, 3], [1, 2, 3]]),
        (Features(count=2), [[0, 1], [1, 1], [0, 0]]),  # flags
        (Features(count=1), [[0], [0.5]]),
        (NUMBERED, [[0, 1, 2]]),
        (YEARS, [[0, 1], [1, 1]]),
        (YEARS, [[2019, 2019], [1, 1]]),
    ],
)
def test_a_row_of_numbers_is_no_header_where_it_cannot_be_names(features, rows):
    body = "\n".join(",".join(map(str, row)) for row in rows).encode()
    assert same(read(body, "text/csv", features), rows)


def test_the_content_type_says_what_a_row_of_numbers_is():
    body = b"2,1,0\n1,2,3"
    for features in (THREE, NUMBERED):
        assert same(read(body, "text/csv; header=present", features), [[3, 2, 1]])
        assert same(read(body, "text/csv; header=absent", features), [[2, 1, 0], [1, 2, 3]])
    with pytest.raises(PayloadError, match="the model has no column '0'"):
        read(b"0,1,2\n1,2,3", "text/csv; header=present", NAMED)


def test_a_header_may_have_names_that_look_like_numbers_among_others():
    features = Features(names=["age", "2019", "nan"])
    assert same(read(b"2019,nan,age\n1,2,3", "text/csv", features), [[3, 1, 2]])


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (THREE, "'x' is not a number; where row 1 is a header, send it as text/csv; header="),
        (NAMED, "as a header, row 1 does not have the model's names: 'a', 'b', 'c'"),
    ],
)
def test_a_header_that_is_not_the_models_is_named_so(features, words):
    with pytest.raises(PayloadError) as caught:
        read(b"x,y,z\n1,2,3", "text/csv", features)
    assert words in caught.value.message


def test_utf_16_is_named_so():
    body = "1,2,3".encode("utf-16")
    assert same(read(body, "text/csv; charset=utf-16", THREE), [[1, 2, 3]])
    with pytest.raises(PayloadError, match=r"UTF-16.*charset=utf-16"):
        read(body, "text/csv", THREE)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        *((name, "utf-8") for name in ("utf_8", "UTF-8-sig", "us-ascii", "ASCII")),
        *((name, "latin-1") for name in ("iso8859-1", "ISO_8859-1", "cp1252")),
    ],
)
def test_a_charset_has_many_names(charset, encoding):
    body = "1,caf\u00e9,3".encode(encoding)
    table = read(body, f"text/csv; charset={charset}", MIXED)
    assert table.columns["b"].tolist() == ["caf\u00e9"]


def test_text_stays_in_categorical_columns():
    table = read(b'1,"red, dark",3\n4,,6\n7,"say ""a""",9', "text/csv", MIXED)
    assert table.array is None
    assert table.columns["b"].tolist() == ["red, dark", None, 'say "a"']
    assert table.columns["c"].tolist() == [3, 6, 9]
    assert table.columns["c"].dtype == np.float32


def test_columns_are_categorical_by_their_values_where_the_model_does_not_say():
    table = read(b"1,red,3\n4,5,6", "text/csv", Features(categorical=None))
    assert table.columns["1"].tolist() == ["red", "5"]
    assert same(read(b"1,2,3", "text/csv", Features(categorical=None)), [[1, 2, 3]])


@pytest.mark.parametrize(
    ("kind", "dialect", "body", "rows"),
    [
        ("text/csv;label_size=0", Dialect.OWN, b"1,2,3", [[1, 2, 3]]),
        ("text/csv;label_size=1", Dialect.OWN, b"9,1,2,3", [[1, 2, 3]]),
        ("text/csv;label_size=1", Dialect.XGBOOST, b"9,1,2,3", [[1, 2, 3]]),
        ("text/csv;label_size=1", Dialect.XGBOOST, b"1,2,3", [[1, 2, 3]]),
        ("text/csv;label_size=1", Dialect.XGBOOST, b"1,2", [[1, 2, NAN]]),
        ("text/csv", Dialect.XGBOOST, b"1,2", [[1, 2, NAN]]),
    ],
)
def test_labels_and_columns_that_lack(kind, dialect, body, rows):
    assert same(read(body, kind, PADDED, dialect), rows)


def test_one_column():
    one = Features(count=1)
    for dialect in Dialect:
        assert same(read(b"0.5\n1.5", "text/csv", one, dialect), [[0.5], [1.5]])
    assert same(read(b"1\n\n2", "text/csv", one, Dialect.XGBOOST), [[1], [NAN], [2]])


def test_a_row_of_one_value_a_line_is_one_for_clients_of_scikit_learn():
    assert same(read(b"1\n2\n3\n", "text/csv", THREE, Dialect.SKLEARN), [[1, 2, 3]])
    with pytest.raises(PayloadError, match="row 1 has 1 columns, the model takes 3"):
        read(b"9,1\n9,2\n9,3", "text/csv; label_size=1", THREE, Dialect.SKLEARN)


@pytest.mark.parametrize(
    ("told", "between"),
    [
        ('delimiter=";"; header=absent', ";"),
        ('x="\\";\\""; delimiter=","', ","),
        ("delimiter=|", "|"),
    ],
)
def test_a_parameter_may_be_quoted(told, between):
    assert same(read(f"1{between}2{between}3".encode(), f"text/csv; {told}", THREE), [[1, 2, 3]])


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('x;y,"x,y"', ["x;y", "x,y"]),
        ('p|q, "a, ""b"", c"', ["p|q", 'a, "b", c']),
        ('"1,2";3', ["1,2", "3"]),
        ('x;y,"one,\ntwo"', ["x;y", "one,\ntwo"]),
        ('5" pipe;x', ['5" pipe', "x"]),
    ],
)
def test_what_is_in_quotes_separates_nothing(body, rows):
    two = Features(count=2, categorical=(0, 1))
    found = read(body.encode(), "text/csv", two).columns
    assert [found[key][0] for key in "01"] == rows


def test_flags_in_a_column_of_numbers_are_one_and_zero():
    assert same(read(b"1,True,3\n1,False,3", "text/csv", THREE), [[1, 1, 3], [1, 0, 3]])
    assert same(read(b"a,b,c\n1,TRUE,\n1,0,false", "text/csv", NAMED), [[1, 1, NAN], [1, 0, 0]])


def test_flags_stay_texts_where_nobody_knows_what_a_column_is():
    unsure = Features(count=2, categorical=None)
    found = read(b"true,1\nfalse,2", "text/csv", unsure).columns
    assert found is not None
    assert found["0"].tolist() == ["true", "false"]


@pytest.mark.parametrize(
    ("body", "kind", "features", "words"),
    [
        (b"1,2", "text/csv", THREE, "row 1 has 2 columns, the model takes 3"),
        (b"1,2,3,4", "text/csv", PADDED, "row 1 has 4 columns, the model takes 3"),
        (b"1,2,3\n1,2", "text/csv", PADDED, "row 2 has 2 columns, row 1 has 3"),
        (b"1,2,3\n1,x,3", "text/csv", NAMED, "row 2, column 2 ('b'): 'x' is not a number"),
        (b"1,True,3\n1,yes,3", "text/csv", THREE, "row 2, column 2: 'yes' is not a number"),
        (b"1,1_0,3", "text/csv", THREE, "row 1, column 2: '1_0' is not a number"),
        ("1,٣,3".encode(), "text/csv", THREE, "is not a number"),
        (b"1,inf,3", "text/csv", THREE, "row 1, column 2: inf is infinite"),
        (b"1,1e39,3", "text/csv", THREE, "row 1, column 2: 1e+39 is beyond float32"),
        (b"a,b,d\n1,2,3", "text/csv", NAMED, "the model has no column 'd'"),
        (b"a,b\n1,2", "text/csv", NAMED, "the column 'c' is missing"),
        (b"a,b,b\n1,2,3", "text/csv", NAMED, "a column comes twice: 'b'"),
        (b"a,b,c\n", "text/csv", NAMED, "a header and no rows"),
        (b"x,y,z\n1,2,3", "text/csv", THREE, "row 1, column 1: 'x' is not a number"),
        (b'1,"2,3', "text/csv", THREE, "the body is not CSV"),
        (b"\n \n", "text/csv", THREE, "no rows"),
        (b"", "text/csv", THREE, "no body"),
        (b"1,\xff,3", "text/csv", THREE, "is not utf-8"),
        (b"1,2,3", "text/csv; charset=ebcdic", THREE, "charset 'ebcdic' is not supported"),
        (b"1,2,3", "text/csv; label_size=2", THREE, "label_size=2 is neither 0 nor 1"),
        (b"1,2,3", "text/csv; header=maybe", THREE, "header=maybe is neither present nor absent"),
        (b"1,2,3", "text/csv; delimiter=x", THREE, "the delimiter 'x' is not supported"),
        (b"1,,3", "text/csv", Features(count=3, missing_allowed=False), "row 1, column 2"),
        (b"1,2.5,3", "text/csv", Features(count=3, dtype="int64"), "2.5 is no int64"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(body, kind, features, words):
    with pytest.raises(PayloadError) as caught:
        read(body, kind, features)
    assert words in caught.value.message
    assert caught.value.status == (415 if "charset" in words else 400)


def test_many_cells_do_not_come_of_few_bytes():
    with pytest.raises(PayloadError, match="send fewer rows"):
        read(b"1\n" * 100_000, "text/csv", Features(count=10_000, fewer_allowed=True))


def test_blanks_are_part_of_a_text():
    found = read(b"good day\nbad\n", "text/csv", Features(count=1, categorical=[0]))
    assert [list(one) for one in found.columns.values()] == [["good day", "bad"]]


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (b'1, Ulm,3\n4,"a, b",6\n7,b ,9', [" Ulm", "a, b", "b "]),
        (b'"a","b","c"\n1, Ulm,3', [" Ulm"]),
        (b"1, Ulm,3\n", [" Ulm"]),
        (b'1, "a, b", 3\n4, "c", 6', ["a, b", "c"]),
        (b'1," a ",3', [" a "]),
    ],
)
def test_blanks_are_of_a_text_but_before_a_quote(body, texts):
    assert read(body, "text/csv", MIXED).columns["b"].tolist() == texts


@pytest.mark.parametrize("body", [b"a, b , c\n1,2,3", b" c,b, a\n3,2,1", b"a, b ,c\n1,2,3"])
def test_names_with_blanks_around_them_are_those_of_the_header(body):
    """As pandas reads `a, b , c`: the blanks are in the names that the model was trained with."""
    assert same(read(body, "text/csv", Features(names=["a", " b ", " c"])), [[1, 2, 3]])


@pytest.mark.parametrize("body", [b"a, b ,c d\n1,2,3", b"c d,a, b \n3,1,2", b"c_d,a,_b_\n3,1,2"])
def test_names_whose_blanks_the_framework_replaced_are_those_of_the_header(body):
    """As LightGBM writes ` b ` into its file."""
    features = Features(names=["a", "_b_", "c_d"], blank="_")
    assert same(read(body, "text/csv", features), [[1, 2, 3]])


def test_names_that_differ_in_blanks_alone_are_told_apart():
    twins = Features(names=["a", " a"])
    assert same(read(b" a,a\n2,1", "text/csv; header=present", twins), [[1, 2]])


@pytest.mark.parametrize("names", [None, [f"f{index}" for index in range(784)]])
def test_a_wide_row_of_values_is_not_read_for_names(names, monkeypatch):
    """It would take as long as to read the row."""
    asked = []

    def is_number(field):
        asked.append(field)
        return True

    monkeypatch.setattr(headers, "_is_number", is_number)
    features = Features(count=784, names=names)
    assert not headers.found(["0"] * 784, iter(()), features)
    assert asked == ["0"]


@pytest.mark.parametrize("categorical", [(), (0,)])
def test_one_column_may_be_called_as_the_model_calls_its_input(categorical):
    features = Features(count=1, title="7x", categorical=categorical)
    for body, rows in ((b"7x\n1\n2\n", 2), (b" 7x \n1\n", 1), (b'"7x"\n1\n', 1)):
        assert read(body, "text/csv", features).rows == rows
    texts = Features(count=1, title="text", categorical=(0,))
    for body, values in (
        (b"text", ["text"]),
        (b"Text\na", ["Text", "a"]),
        (b"a\ntext", ["a", "text"]),
    ):
        table = read(body, "text/csv", texts)
        assert table.columns is not None
        assert table.columns["0"].tolist() == values
    assert read(b"text\na", "text/csv; header=absent", texts).rows == 2


@pytest.mark.parametrize(
    ("body", "kind", "untyped"),
    [(b"Ulm,3", "text/csv", True), (b'[["Ulm", 3]]', "application/json", False)],
)
def test_a_table_says_where_values_have_no_type(body, kind, untyped):
    table = read(body, kind, Features(count=2, categorical=(0,)))
    assert table.untyped is untyped
    assert table.take(0, 1).untyped is untyped
