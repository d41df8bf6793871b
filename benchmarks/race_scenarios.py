"""What happens to people who refresh: each scenario is played against any client, and says whether it went well."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.race_clients import Client, Held, Later, NotOfferedError, Refused

TABS = 4
ROUNDS = 5
PATIENCE = 8
"""How often somebody comes again who is asked to."""

Saw = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long things take, in seconds.

    Args:
        past_grace: until a thief comes; longer than anybody's grace.
        much_later: until somebody comes again whose answer was lost.
        near: a request's or an answer's way, at most.
        far: the same from another continent.
    """

    past_grace: float = 12.0
    much_later: float = 36.0
    near: float = 0.03
    far: float = 0.3


@dataclass(slots=True, kw_only=True)
class Play:
    """One person's turn of a scenario.

    Args:
        client: of the system.
        email: of an account that nobody else uses.
        number: of the turn; what is drawn by chance follows from it.
        pauses: how long things take.
        saw: told what was seen.
    """

    client: Client
    email: str
    number: int
    pauses: Pauses
    saw: Saw

    async def signed_in(self) -> Held:
        """Somebody who has just signed in, and is let through."""
        held = await self.client.sign_in(self.email)
        assert await self.client.is_in(held.access), "whoever signs in is in"
        return held

    async def refreshed(self, token: str) -> Held | Refused:
        """Present a token, and come again when asked to."""
        for _ in range(PATIENCE):
            answer = await self.client.refresh(token)
            if not isinstance(answer, Later):
                return answer
            self.saw("a request was asked to come again later")
            await asyncio.sleep(answer.seconds)
        return Refused(why="asked to come again, again and again")

    async def first_refreshed(self, held: Held) -> Held:
        """The first refresh of a session, which changes its token."""
        answer = await self.refreshed(held.refresh)
        assert isinstance(answer, Held), answer
        if answer.refresh == held.refresh:
            raise NotOfferedError("its token is not rotated: it stays the same until the session ends")
        return answer

    async def is_signed_in(self, answer: Held | Refused, *, who: str) -> bool:
        """Whether an answer's access token is let through, and its refresh token is good for another one."""
        if isinstance(answer, Refused):
            self.saw(f"{who} was answered {answer.why}")
            return False
        if not await self.client.is_in(answer.access):
            self.saw(f"{who} got an access token that was refused")
            return False
        again = await self.refreshed(answer.refresh)
        if isinstance(again, Refused):
            self.saw(f"{who} got a refresh token that was answered {again.why}")
            return False
        self.saw(f"{who} got good tokens")
        return True

    async def is_over(self, held: Held, *, whose: str) -> bool:
        """Whether neither of the tokens lets anybody in any more."""
        access = await self.client.is_in(held.access)
        self.saw(f"{whose} access token was {'still let through' if access else 'refused'}")
        try:
            answer = await self.refreshed(held.refresh)
        except NotOfferedError:
            return not access
        if isinstance(answer, Refused):
            self.saw(f"{whose} refresh token was answered {answer.why}")
            return not access
        if await self.client.is_in(answer.access):
            self.saw(f"{whose} refresh token was still good")
            return False
        self.saw(f"{whose} refresh token was exchanged for an access token that was refused")
        return not access


async def retry(play: Play) -> bool:
    held = await play.signed_in()
    assert isinstance(await play.refreshed(held.refresh), Held)
    return await play.is_signed_in(await play.refreshed(held.refresh), who="the second request")


async def lost_reply(play: Play) -> bool:
    held = await play.signed_in()
    assert isinstance(await play.refreshed(held.refresh), Held)
    await asyncio.sleep(play.pauses.much_later)
    return await play.is_signed_in(await play.refreshed(held.refresh), who="the request")


async def _raced(play: Play) -> tuple[Held, list[Held | Refused]]:
    """What was held, and what two refreshes with it at the same time were answered, in the order of arrival."""
    held = await play.signed_in()
    arrived: list[Held | Refused] = []

    async def tab() -> None:
        arrived.append(await play.refreshed(held.refresh))

    await asyncio.gather(tab(), tab())
    return held, arrived


async def two_tabs(play: Play) -> bool:
    _, both = await _raced(play)
    for answer in both:
        if isinstance(answer, Refused):
            play.saw(f"a tab was answered {answer.why}")
        elif not await play.client.is_in(answer.access):
            play.saw("a tab got an access token that was refused")
        else:
            continue
        return False
    # Tabs share a jar, in which the answer is that came last.
    return await play.is_signed_in(both[-1], who="each tab")


async def one_chain(play: Play) -> bool:
    held, both = await _raced(play)
    tokens = {answer.refresh for answer in both if isinstance(answer, Held)}
    if tokens == {held.refresh}:
        raise NotOfferedError("its token is not rotated: it stays the same until the session ends")
    if len(tokens) < 2:
        play.saw(
            "both got one and the same token" if all(isinstance(each, Held) for each in both) else "one got a token"
        )
        return True
    after = [await play.refreshed(token) for token in sorted(tokens)]
    if all(isinstance(answer, Held) for answer in after):
        play.saw("each got a token of its own, and both went on being refreshed")
        return False
    play.saw("each got a token of its own, of which one went on")
    return True


@dataclass(slots=True)
class _Jar:
    """What all tabs of a browser share."""

    token: str


async def continents(play: Play) -> bool:
    held = await play.signed_in()
    jar, chance = _Jar(held.refresh), random.Random(play.number)
    for _ in range(ROUNDS):
        far = [play.pauses.far if number % 2 else play.pauses.near for number in range(TABS)]
        ways = [(chance.uniform(0, each), chance.uniform(0, each)) for each in far]
        await asyncio.gather(*(_refresh_in_tab(play, jar, there=there, back=back) for there, back in ways))
    return await play.is_signed_in(await play.refreshed(jar.token), who="the browser in the end")


async def _refresh_in_tab(play: Play, jar: _Jar, *, there: float, back: float) -> None:
    """A tab asks with what is in the jar, and once more if that has changed meanwhile."""
    for _ in range(2):
        presented = jar.token
        await asyncio.sleep(there)
        answer = await play.refreshed(presented)
        await asyncio.sleep(back)
        if isinstance(answer, Held):
            jar.token = answer.refresh
            return
        play.saw(f"a tab was answered {answer.why}")
        if jar.token == presented:
            return


async def _stolen(play: Play) -> tuple[Held, Held | Refused]:
    """The owner's newest credentials, and what became of a thief who came with an old copy when all grace was over."""
    held = await play.signed_in()
    owner = await play.first_refreshed(held)
    assert await play.client.is_in(owner.access)
    await asyncio.sleep(play.pauses.past_grace)
    return owner, await play.refreshed(held.refresh)


async def reuse_is_refused(play: Play) -> bool:
    _, thief = await _stolen(play)
    if isinstance(thief, Held):
        play.saw("the copy was good for new tokens")
        return False
    play.saw(f"the copy was answered {thief.why}")
    return True


async def reuse_ends_the_session(play: Play) -> bool:
    owner, _ = await _stolen(play)
    access = await play.client.is_in(owner.access)
    play.saw("the owner's access token was still let through" if access else "the owner's access token was refused")
    after = await play.refreshed(owner.refresh)
    if isinstance(after, Held):
        play.saw("the owner's refresh token was still good")
        return False
    play.saw(f"the owner's refresh token was answered {after.why}")
    return True


async def sign_out(play: Play) -> bool:
    held = await play.signed_in()
    await play.client.sign_out(held)
    return await play.is_over(held, whose="its")


async def sign_out_everywhere(play: Play) -> bool:
    here, there = await play.signed_in(), await play.signed_in()
    await play.client.sign_out_everywhere(here)
    return await play.is_over(there, whose="the other device's")


async def password_change(play: Play) -> bool:
    here, stolen = await play.signed_in(), await play.signed_in()
    await play.client.change_password(here)
    return await play.is_over(stolen, whose="the stolen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row.

    Args:
        name: in a few words.
        question: whose answer is yes where it goes well.
        play: once.
        at_once: how many persons play it at a time; 1 where it is about races.
    """

    name: str
    question: str
    play: Callable[[Play], Awaitable[bool]]
    at_once: int = 8


SCENARIOS = (
    Scenario(
        name="Retry",
        question="The answer to a refresh is lost, and the client sends the same once more at once. Is it signed in?",
        play=retry,
    ),
    Scenario(
        name="Lost reply",
        question="The answer is lost, and the client comes again with the same token half a minute later. Signed in?",
        play=lost_reply,
        at_once=1_000,
    ),
    Scenario(
        name="Race of two tabs",
        question="Two tabs refresh with one token at the same time. Are both answered with good access tokens, and is"
        " the refresh token that the browser keeps, the one that came last, good for another?",
        play=two_tabs,
        at_once=1,
    ),
    Scenario(
        name="One chain",
        question="After such a race, is there only one refresh token that goes on, and no second chain beside it?",
        play=one_chain,
        at_once=1,
    ),
    Scenario(
        name="Two continents of tabs",
        question=f"{TABS} tabs share a jar and refresh at once in {ROUNDS} rounds; half of them are far away, so that"
        " requests and answers overtake each other. Is the browser signed in at the end?",
        play=continents,
    ),
    Scenario(
        name="Reuse is refused",
        question="A thief presents a token that its owner has used, when all grace is over. Is it refused?",
        play=reuse_is_refused,
        at_once=1_000,
    ),
    Scenario(
        name="Reuse ends the session",
        question="After that, is the newest refresh token of the same session ended as well?",
        play=reuse_ends_the_session,
        at_once=1_000,
    ),
    Scenario(
        name="Signing out is at once",
        question="Is the access token refused by the next request after signing out, and the refresh token too?",
        play=sign_out,
    ),
    Scenario(
        name="Signing out everywhere is at once",
        question="Are the tokens of another device refused by its next request?",
        play=sign_out_everywhere,
    ),
    Scenario(
        name="A password change ends what was stolen",
        question="A token of another session was stolen, and the owner changes the password. Is it refused at once?",
        play=password_change,
    ),
)
