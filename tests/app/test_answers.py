"""What the page shows of an answer."""

import re

import pytest

from vqmm.app.answers import Answers, told
from vqmm.errors import UserError


def test_an_answer_shows_hits_codes_and_what_comes_back(explorer, made):
    answer = Answers(explorer).sound_to_picture(str(made.files / "test2.wav"), 3)
    query = explorer.encode((made.files / "test2.wav").read_bytes(), "audio")
    found = explorer.search(query, 3)
    assert answer.facts["query"] == {
        "modality": "audio",
        "codes": query.tokens.shared[0].tolist(),
        "best_possible": 2,
        "used": {"start_seconds": 0.0, "end_seconds": 0.47, "of_seconds": 0.47},
        "notes": [],
    }
    assert answer.facts["hits"] == [hit.row | {"codes": hit.codes.tolist()} for hit in found]
    for hit in found:
        equal = int((query.tokens.shared[0] == hit.codes).sum())
        assert re.search(
            rf"<b>{hit.row['label']}</b> {re.escape(hit.row['id'])}</span>\s*"
            rf'<span class="vq-quiet">{hit.row["score"]:.2f}, {equal}/2 codes',
            answer.hits,
        )
    equal = int((query.tokens.shared[0] == found[0].codes).sum())
    assert f"{equal} of 2 codes agree" in answer.codes and answer.codes.count('class="equal"') == 2 * equal
    assert answer.rebuilt.count("<audio") == 3 and "a picture from the shared codes" in answer.rebuilt


def test_a_picture_is_answered_with_players(explorer, made):
    answer = Answers(explorer).picture_to_sound(str(made.files / "test5.png"), 4)
    assert answer.hits.count("<audio") == 4 and answer.hits.count("data:audio/wav") == 4
    assert answer.rebuilt.count("<audio") == 1


def test_names_from_the_data_are_text(explorer, made):
    answers = Answers(explorer)
    query = explorer.encode((made.files / "test2.wav").read_bytes(), "audio")
    found = explorer.search(query, 1)[0]
    named = found._replace(row=found.row | {"id": "<script>", "label": "<b>", "caption": "a & b"})
    from vqmm.app.parts import hits_html

    html = hits_html(answers.explorer, query, [named])
    assert "<script>" not in html and "&lt;script&gt;" in html and "a &amp; b" in html


def test_nothing_given_and_no_hits_are_told(explorer, made):
    answers = Answers(explorer)
    with pytest.raises(UserError, match="no sound yet"):
        answers.sound_to_picture(None, 3)
    with pytest.raises(UserError, match="no picture yet"):
        answers.picture_and_back(None)
    with pytest.raises(UserError, match="sketchpad is empty"):
        answers.drawing_to_sound(None, 3)
    with pytest.raises(UserError, match="1 is the least"):
        answers.sound_to_picture(str(made.files / "test2.wav"), 0)


class Refusal(Exception):
    """In place of the page's own."""


def test_mistakes_are_messages_and_defects_are_logged_without_details(caplog):
    def mistaken(_):
        raise UserError("so it is legal")

    def broken(_):
        raise KeyError("a secret")

    with pytest.raises(Refusal, match="^so it is legal$"):
        told(mistaken, Refusal)(1)
    assert not caplog.records
    with pytest.raises(Refusal, match=r"^this failed \(KeyError\)"):
        told(broken, Refusal)(1)
    assert caplog.records[0].exc_info and told(lambda a: a + 1, Refusal)(1) == 2
