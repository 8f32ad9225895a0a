import pytest

from vivace.evaluation.words import word_errors


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("two blue", "two blue", 0),
        ("two blue", "", 2),
        ("", "two blue", 2),
        ("two blue", "blue two", 2),
        ("two blue red", "two red", 1),
        ("two red", "two two red", 1),
        ("one two three", "one six three", 1),
    ],
)
def test_the_least_number_of_changes(said: str, heard: str, errors: int) -> None:
    assert word_errors(said.split(), heard.split()) == errors
    assert word_errors(heard.split(), said.split()) == errors
