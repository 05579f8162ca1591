from hypothesis import given
from hypothesis import strategies as st

from resolverd.policy.headers import Header, HeaderQueue


def test_one_a_request_in_their_order():
    queue = HeaderQueue()
    queue.put("i", Header.X_RESOLVERD, "X-Resolverd: c", 0)
    queue.put("i", Header.X_GREYLIST, "X-Greylist: b", 0)
    queue.put("i", Header.RECEIVED_SPF, "Received-SPF: a", 0)
    assert [queue.take("i", 1) for _ in range(4)] == ["Received-SPF: a", "X-Greylist: b", "X-Resolverd: c", ""]


def test_the_last_one_loses_nothing():
    queue = HeaderQueue()
    texts = ("Received-SPF: a", "X-Greylist: delayed 9 seconds", "X-Resolverd: tagged; ref=R")
    for kind, text in zip(Header, texts, strict=True):
        queue.put("one recipient", kind, text, 0)
        queue.put("two recipients", kind, text, 0)
        if kind is not Header.X_RESOLVERD:
            queue.put("no tags", kind, text, 0)
    assert queue.take("one recipient", 0) == "Received-SPF: a"
    assert queue.last("one recipient", 0) == "X-Resolverd: tagged; ref=R; X-Greylist: delayed 9 seconds"
    assert queue.last("one recipient", 0) == ""
    assert [queue.take("two recipients", 0) for _ in range(2)] == ["Received-SPF: a", "X-Greylist: delayed 9 seconds"]
    assert queue.last("two recipients", 0) == "X-Resolverd: tagged; ref=R"
    assert [queue.take("no tags", 0), queue.last("no tags", 0)] == ["Received-SPF: a", "X-Greylist: delayed 9 seconds"]
    assert queue.last("nobody", 0) == ""


def test_each_kind_once_a_message_even_after_it_went_out():
    queue = HeaderQueue()
    queue.put("i", Header.X_GREYLIST, "X-Greylist: first", 0)
    queue.put("i", Header.X_GREYLIST, "X-Greylist: second", 0)
    assert queue.take("i", 0) == "X-Greylist: first"
    queue.put("i", Header.X_GREYLIST, "X-Greylist: third", 1)
    assert queue.take("i", 1) == ""


def test_of_several_verdicts_the_harshest_goes_out_and_waits_for_the_last():
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        queue = HeaderQueue()
        ranked = [(f"X-Resolverd: would {each}", (at, 0.0)) for at, each in enumerate(("pass", "wait", "defer"))]
        queue.put("i", Header.RECEIVED_SPF, "Received-SPF: a", 0)
        got = []
        for at in order:
            queue.put("i", Header.X_RESOLVERD, ranked[at][0], 0, ranked[at][1])
            got.append(queue.take("i", 0))
        assert got == ["Received-SPF: a", "", ""]
        assert [queue.last("i", 0), queue.last("i", 0)] == ["X-Resolverd: would defer", ""]


def test_of_equally_harsh_verdicts_the_higher_score_goes_out():
    queue = HeaderQueue()
    for score in (1.0, 5.0, 3.0):
        queue.put("i", Header.X_RESOLVERD, f"X-Resolverd: {score}", 0, (0, score))
    assert queue.last("i", 0) == "X-Resolverd: 5.0"


def test_what_cannot_be_harsher_need_not_wait():
    queue = HeaderQueue()
    queue.put("i", Header.X_RESOLVERD, "X-Resolverd: accept", 0, (0, 0.0))
    queue.put("i", Header.X_RESOLVERD, "X-Resolverd: would reject", 0, (4, 6.0))
    assert queue.take("i", 0) == "X-Resolverd: would reject"
    queue.put("i", Header.X_RESOLVERD, "X-Resolverd: would reject again", 0, (4, 9.0))
    assert queue.last("i", 0) == ""


def test_messages_do_not_mix():
    queue = HeaderQueue()
    queue.put("i", Header.X_GREYLIST, "X-Greylist: i", 0)
    assert queue.take("j", 0) == ""
    assert queue.take("i", 0) == "X-Greylist: i"


def test_no_header_holds_a_line_end_or_more_than_a_line():
    queue = HeaderQueue()
    queue.put("i", Header.RECEIVED_SPF, "Received-SPF: a\r\n\r\naction=OK\0\u00e4" + "x" * 2000, 0)
    text = queue.take("i", 0)
    assert text.startswith("Received-SPF: a action=OK??x")
    assert len(text) == 900


def test_strangers_cannot_fill_it():
    queue = HeaderQueue(max_messages=100)
    for i in range(1000):
        queue.put(str(i), Header.X_GREYLIST, "X-Greylist: x", i)
    assert len(queue) == 100
    assert queue.take("0", 1000) == ""
    assert queue.take("999", 1000) == "X-Greylist: x"


def test_it_forgets_in_time():
    queue = HeaderQueue(max_age=60)
    queue.put("i", Header.X_GREYLIST, "X-Greylist: x", 0)
    assert queue.take("i", 61) == ""
    assert len(queue) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Header)), max_size=40))
def test_nothing_is_said_twice_and_nothing_is_lost(puts):
    queue = HeaderQueue()
    for now, (instance, kind) in enumerate(puts):
        queue.put(instance, kind, f"{instance}{kind.name}", now)
    for instance in "abc":
        got = []
        while text := queue.take(instance, len(puts)):
            got.append(text)
        assert got == [f"{instance}{kind.name}" for kind in sorted({kind for owner, kind in puts if owner == instance})]
