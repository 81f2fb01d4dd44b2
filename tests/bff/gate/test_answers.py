"""Whole answers that are kept: for how long, how many, and until when."""

from bff.gate.answers import AnswerCacheOptions, KeptAnswers


class Kept(KeptAnswers):
    """With a clock to turn."""

    def __init__(self, **options: int) -> None:
        self.now = 100.0
        super().__init__(AnswerCacheOptions(enabled=True, **options), lambda: self.now)


def test_an_answer_is_kept_as_long_as_it_may() -> None:
    """And says for how long it may still be used."""
    kept = Kept()
    kept.put("a", b"answer", 10.0, kept.generation)
    kept.now += 4
    assert kept.get("a") == (b"answer", 6.0)
    kept.now += 6
    assert kept.get("a") is None
    assert "0 bytes" in repr(kept)
    kept.put("a", b"answer", 0.0, kept.generation)
    assert kept.get("a") is None


def test_what_was_begun_before_a_write_is_not_kept_after_it() -> None:
    """It may hold what the write has changed."""
    kept = Kept()
    kept.put("a", b"1", 10.0, kept.generation)
    begun = kept.generation
    kept.clear()
    assert kept.get("a") is None
    kept.put("a", b"1", 10.0, begun)
    assert kept.get("a") is None
    kept.put("a", b"2", 10.0, kept.generation)
    assert kept.get("a") == (b"2", 10.0)


def test_they_are_bounded_in_number_and_size() -> None:
    """What was not asked for the longest goes first; what is too large by itself is not kept at all."""
    kept = Kept(max_entries=2, max_bytes=2048)
    for key in "ab":
        kept.put(key, key.encode(), 10.0, kept.generation)
    kept.get("a")
    kept.put("c", b"c", 10.0, kept.generation)
    assert [kept.get(key) is not None for key in "abc"] == [True, False, True]
    kept.put("d", b"d" * 1500, 10.0, kept.generation)
    assert [kept.get(key) is not None for key in "acd"] == [False, False, True]
    kept.put("e", b"e" * 3000, 10.0, kept.generation)
    assert [kept.get(key) is not None for key in "de"] == [True, False]
    kept.put("d", b"d", 10.0, kept.generation)  # in its own place
    assert "501 bytes" in repr(kept)
