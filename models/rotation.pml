/*
 * Rotation of refresh tokens: docs/concepts/rotation.md, for the model checker Spin.
 *
 * One session row; tabs of one honest browser that share a jar; replies that are late, reordered or lost (a crash between
 * commit and reply is a lost reply); somebody who holds a copy; an end that races with all of it.  README.md beside this
 * file says how to run it, how time is abstracted, and what each seeded bug breaks.
 *
 * Scenario: TABS, KEYED, THIEF, LOSSLESS, END, LEASE, LOST_WRITES, STALLED, CLOSE_UNSEEN.  Scale: UP, DOWN, GRACE, MORE_REST, RECOVERIES, NEWEST.
 * Seeded bugs: BUG_...  Stricter readings of the protocol's sentences: WORDING_...
 */

/* ---- Scale: a tick is the smallest span that matters, not a second. ---- */

#ifndef UP
#define UP 1                            /* longest way of an honest request, from its sending to its last statement */
#endif
#ifndef DOWN
#define DOWN 1                          /* longest way of the reply to it */
#endif
#ifndef GRACE
#define GRACE (UP + DOWN)               /* the precondition: no longer together */
#endif
#ifdef WORDING_EACH_REQUEST
#define LONGEST GRACE                   /* of one request: its way and its reply's share the grace as they like */
#else
#define LONGEST UP
#endif
#ifndef MORE_REST
#define MORE_REST 0                     /* ticks of rest beyond three times the grace */
#endif
#ifdef BUG_NO_REST
#define REST 0
#else
#define REST (3 * GRACE + MORE_REST)
#endif
#define OLD (3 * GRACE + MORE_REST)     /* ages of a generation are counted up to here: no rule asks for more */
#ifndef RECOVERIES
#define RECOVERIES 2                    /* how many of them, one rest apart, the window has room for */
#endif
#define WINDOW (RECOVERIES * OLD + GRACE)
#define GONE (WINDOW + 1)               /* ages of an attempt are counted up to here */

#ifndef NEWEST
#define NEWEST 4                        /* the history ends with this generation */
#endif
#ifndef TABS
#define TABS 2                          /* requests of the browser that can be under way at once */
#endif
#ifdef THIEF
#define CALLERS (TABS + 1)
#elif defined(STALLED)
#define CALLERS (TABS + 1)              /* the last is a request of the browser that lies in a server which stands still */
#else
#define CALLERS TABS
#endif

#define NONE 255
#define NO_KEY 0
#define OWN_KEY 1                       /* the browser keeps one beside each token, so it is the same for all its tabs */
#define FOREIGN_KEY 2

/* ---- Rules that must always hold.  The names are never set: they make the checker's report readable. ---- */

hidden byte one_chain, generation_never_falls, honest_never_reused, honest_answered_as_signed_in, jar_keeps_the_newest;
hidden byte acknowledged_theft_ends, no_turns_for_ever, reuse_ends_the_session, nothing_after_the_end;
hidden byte never_past_the_session, never_past_its_revocation, never_reached, abandoned_not_presented;
#define must_hold(name, what) assert((what) || name)

/* ---- The row. ---- */

typedef Row {
    byte generation;
    byte made_ago = 0;                  /* t - made_at, up to OLD */
    byte predecessor = NONE;
    byte first_ago = GONE;              /* t - first_at, up to GONE */
    byte attempt = NO_KEY;
    byte displaced = NONE;
    bool acknowledged;
    bool retried;                       /* the predecessor was answered by the grace since made_at */
    bool live = true
};
Row row;

/* ---- Who calls, and what is under way. ---- */

mtype = { nothing, Rotated, Young, Grace, Attempt, Displaced, Wait, Recovered, Ahead, Reused, Late, Refused };
mtype = { here, coming, going };        /* where a call is: none, request or server at work, reply */
mtype = { unread, valid, outdated };    /* what a caller's reading of the row is worth: the comparison of the swap */

typedef Call {
    mtype way = here;
    byte spent;                         /* ticks on this way */
    byte token = NONE;                  /* presented, then answered */
    byte key = NO_KEY;
    mtype reading = unread;
#ifdef BUG_TIME_OF_THE_READING_WRITTEN
    byte read_ago;                      /* ticks since the row was read: `now` of the decision */
#endif
#ifdef LEASE
    byte clock_ago;                     /* ticks since the clock was read for iat and exp */
#endif
};
Call call[CALLERS];

byte jar = 0;                           /* the browser's refresh token */
byte seen = 0;                          /* the newest generation of which anybody holds an access token */

#ifdef LEASE
#define LIFETIME 3                      /* of an access token, and as long as an end is remembered by the feed */
byte expires_in = LIFETIME + 2;         /* expires_at - t */
byte ended_ago = 0;                     /* since the end committed, up to LIFETIME */
hidden short lease;                     /* exp - t, at the moment of signing */
#define over (!row.live || expires_in == 0)
#else
#define over (!row.live)
#endif

#ifdef LOST_WRITES
Row backup, blank;
bool backed_up = false;
inline copy(to, from)
{
    to.generation = from.generation;
    to.made_ago = from.made_ago;
    to.predecessor = from.predecessor;
    to.first_ago = from.first_ago;
    to.attempt = from.attempt;
    to.displaced = from.displaced;
    to.acknowledged = from.acknowledged;
    to.retried = from.retried
}
#endif

#define HONEST 0
#define OTHER 1
#ifdef STALLED
#define party(caller) HONEST
#define is_stalled (_pid == TABS)
bool closed = false;                    /* the browser has given up, and its end of the connection is known */
#define on_its_way_too_long (is_stalled && call[_pid].spent > UP && 2 * call[_pid].spent <= GRACE)
#else
#define party(caller) (caller < TABS -> HONEST : OTHER)
#define is_stalled (false)
#define on_its_way_too_long (false)     /* a request may take no longer than UP, but for what its server knows to be its own delay */
#endif

#if defined(STALLED) && !defined(BUG_STALL_IS_THEFT)
#define late (is_stalled && 2 * call[_pid].spent > GRACE)
#else
#define late (false)
#endif
#ifdef THIEF
byte copies = 0;                        /* the other party's tokens, a bit each */
bit owner = HONEST;                     /* who was answered with the current generation first */
#if defined(LOSSLESS) || defined(WORDING_SECOND_PRESENTATION)
#define MOST_TURNS 2                    /* the third would be the second by the party that came second */
#elif !defined(MOST_TURNS)
#define MOST_TURNS RECOVERIES
#endif
byte turns = 0;                         /* how often one party took over from the other with a superseded token */
#endif

hidden byte i;

/* ---- What the row's changes have in common. ---- */

inline outdate_readings()
{
    for (i : 0 .. CALLERS - 1) {
        if
        :: call[i].reading == valid -> call[i].reading = outdated
        :: else
        fi
    }
    i = 0
}

inline write_generation(new, ago)
{
    must_hold(generation_never_falls, new >= row.generation);
    row.generation = new;
    row.made_ago = ago;
    row.retried = false;
#ifdef THIEF
    owner = party(_pid);
#endif
    outdate_readings()
}

inline rotate(ago)
{
    row.predecessor = call[_pid].token;
    row.first_ago = ago;
    row.attempt = call[_pid].key;
    row.displaced = NONE;
    row.acknowledged = false;
    write_generation(call[_pid].token + 1, ago)
}

inline recover(ago)
{
    row.displaced = row.generation;
    row.attempt = call[_pid].key;
    write_generation(row.generation + 1, ago)
}

/* A superseded token was answered with a newer one: before anything is written. */
inline count_turn()
{
#ifdef THIEF
    if
    :: owner != party(_pid) ->
        must_hold(acknowledged_theft_ends, !row.acknowledged);
        turns++;
        must_hold(no_turns_for_ever, turns <= MOST_TURNS)
    :: else
    fi
#else
    skip
#endif
}

inline take_reading(worth)
{
    call[_pid].reading = worth;
#ifdef BUG_TIME_OF_THE_READING_WRITTEN
    call[_pid].read_ago = 0
#endif
}

/* The instant that an answer rests on: the statement that took, or the reading that needed no statement. */
inline answer(granted)
{
#ifndef IGNORE_THE_END
    must_hold(nothing_after_the_end, row.live);
#endif
    must_hold(one_chain, granted == row.generation);
    call[_pid].token = granted;
    call[_pid].way = going;
#ifndef WORDING_EACH_REQUEST
    call[_pid].spent = 0;
#endif
    call[_pid].key = NO_KEY;
    take_reading(unread)
}

inline forget()
{
    call[_pid].way = here;
    call[_pid].spent = 0;
    call[_pid].token = NONE;
    call[_pid].key = NO_KEY;
    take_reading(unread);
#ifdef LEASE
    call[_pid].clock_ago = 0;
#endif
    decision = nothing
}

/* ---- The decision, row by row in the order of the table. ---- */

#define g (call[_pid].token)
#define n (row.generation)
#define same_attempt (call[_pid].key != NO_KEY && call[_pid].key == row.attempt)
#define ripe (n == 0 || row.made_ago >= REST)

#ifdef BUG_GRACE_FOR_ANY_OLD_GENERATION
#define in_grace (g < n && row.made_ago <= GRACE)
#else
#define in_grace (g == row.predecessor && row.made_ago <= GRACE)
#endif

#ifdef BUG_PREDECESSOR_FOR_EVER
#define may_be_lost (g == row.predecessor && !row.acknowledged)
#else
#ifdef BUG_ACKNOWLEDGED_RECOVERED
#define may_be_lost (g == row.predecessor && row.first_ago <= WINDOW)
#else
#define may_be_lost (g == row.predecessor && !row.acknowledged && row.first_ago <= WINDOW)
#endif
#endif

#ifdef BUG_NO_WAIT
#define too_early (false)
#else
#define too_early (row.made_ago < REST)
#endif
#define may_be_late (g == row.predecessor && row.retried) /* an answer of the grace may still be on its way */

#define when(condition, then) if :: decision == nothing && (condition) -> decision = then :: else fi

inline decide()
{
    decision = nothing;
    when(over, Refused);
    when(g == n && !ripe, Young);
#ifndef BUG_RIPE_AT_READING_IS_REUSE
    when(g == n, Rotated);              /* it came of age between the statement and the reading */
#endif
    when(in_grace, Grace);
    when(g == row.predecessor && same_attempt, Attempt);
    when((may_be_lost || may_be_late) && too_early, Wait);
#ifndef BUG_LATE_RECOVERS
    when(may_be_lost && late, Late);    /* the reply may have arrived since: recovering would put aside what the browser holds */
#endif
    when(may_be_lost, Recovered);
    when(g == row.displaced && row.made_ago <= GRACE, Displaced);
#ifndef BUG_AHEAD_IS_REUSE
    when(g > n, Ahead);
#endif
    when(late, Late);                   /* the server was not on time itself: it may have been honest when it was sent */
    when(true, Reused);
#ifdef REACH
    must_hold(never_reached, decision != REACH); /* is this row of the table in the scenario at all? */
#endif
#ifndef THIEF
    must_hold(honest_never_reused, decision != Reused);
#ifndef END
    must_hold(honest_answered_as_signed_in, decision != Refused);
#endif
#endif
#ifndef LOST_WRITES
    must_hold(generation_never_falls, decision != Ahead)
#endif
}

#ifdef BUG_SUCCESSOR_ANSWERED
#define again (g + 1)
#else
#define again (n)
#endif
#ifdef BUG_GRACE_LEAVES_NO_MARK
#define marked (true)
#else
#define marked (row.retried)
#endif
#define says_no (decision == Wait || decision == Ahead || decision == Late || decision == Refused)

#ifdef BUG_SWAP_WITHOUT_COMPARING
#define swap_takes (true)
#else
#ifdef BUG_MARK_AFTER_THE_GRACE
#define swap_takes (call[_pid].reading == valid)
#else
#define swap_takes (call[_pid].reading == valid && (decision != Grace || row.made_ago <= GRACE))
#endif
#endif

#ifdef BUG_TIME_OF_THE_READING_WRITTEN
#define written_ago (call[_pid].read_ago)
#else
#define written_ago 0                   /* a swap writes the time of its own statement, not of the reading before it */
#endif

/* The swap took: what was read is still so. */
inline apply()
{
    if
        :: decision == Rotated -> rotate(written_ago); answer(n)
    :: decision == Young -> row.acknowledged = true; outdate_readings(); answer(n)
    :: decision == Grace -> count_turn(); row.retried = true; outdate_readings(); answer(again)
    :: decision == Attempt ->
        count_turn();
#ifndef BUG_NO_NEW_START_BY_KEY
        row.made_ago = written_ago;
        row.retried = false;
        outdate_readings();
#endif
        answer(n)
    :: decision == Recovered -> count_turn(); recover(written_ago); answer(n)
    :: decision == Reused ->
#ifndef BUG_REUSE_ROLLED_BACK
        row.live = false;
        outdate_readings();
#endif
        must_hold(reuse_ends_the_session, !row.live);
        forget()
    fi
}

/* ---- Presenting. ---- */

#ifdef KEYED
#define in_time true                    /* with the key: at any time */
#else
#ifdef THIEF
#define in_time true
#else
#define in_time (jar >= n || row.first_ago + LONGEST <= WINDOW) /* it repeats so that it arrives inside the window */
#endif
#endif

#ifdef THIEF
/* Inside the grace of the other's refresh they share the current token: documented, and not what this scenario is about. */
#define inside_the_grace (owner != party(_pid) && (g == row.predecessor || g == row.displaced) && row.made_ago <= GRACE)
#else
#define inside_the_grace (false)
#endif

#ifdef BUG_END_OUTSIDE_THE_LOCK
#define statement_sees_live (true)
#else
#define statement_sees_live (!over)
#endif

#ifdef BUG_COOKIE_SET_THOUGH_UNCHANGED
#define sets_cookie (true)
#else
#define sets_cookie (decision != Young)
#endif

active [CALLERS] proctype Caller()
{
    mtype decision = nothing;

end_idle:
    if
    :: d_step { party(_pid) == HONEST && row.generation < NEWEST && in_time ->
        call[_pid].token = jar;
#ifdef KEYED
        call[_pid].key = OWN_KEY;
#endif
        call[_pid].way = coming }
#ifdef THIEF
    :: atomic { party(_pid) == OTHER && row.generation < NEWEST && copies ->
        call[_pid].token = 0;
        do
        :: (copies >> (g + 1)) -> call[_pid].token++
        :: (copies >> g) & 1 -> break
        od;
        if
        :: call[_pid].key = NO_KEY
        :: call[_pid].key = FOREIGN_KEY
        fi;
        call[_pid].way = coming }
#endif
    fi;

#ifdef STALLED
    /* The server goes on.  What has no sender any more is not presented. */
    if
    :: d_step { is_stalled && closed ->
        closed = false;
#ifdef BUG_ABANDONED_PRESENTED
        must_hold(abandoned_not_presented, false);
#endif
        forget() }; goto end_idle
    :: !(is_stalled && closed) && !on_its_way_too_long
    fi;
#endif

#ifdef LEASE
    if
    :: d_step { true -> call[_pid].clock_ago = 0 }              /* the clock is read before the statement */
    fi;
#endif

#ifdef BUG_END_OUTSIDE_THE_LOCK
    if
    :: d_step { !row.live -> forget() }; goto end_idle
    :: row.live
    fi;
#endif

    /* Step 2: one statement. */
#ifdef BUG_READ_THEN_WRITE
    if
    :: g == n && !over && ripe; d_step { rotate(0); answer(n); decision = Rotated }; goto reply
    :: else
    fi;
#else
    if
    :: d_step { g == n && statement_sees_live && ripe -> rotate(0); answer(n); decision = Rotated }; goto reply
    :: !(g == n && statement_sees_live && ripe)
    fi;
#endif

    /* Step 3: read the row, decide, and apply by comparing with what was read; read again where that fails. */
read:
    if
    :: d_step { inside_the_grace -> forget() }
    :: d_step { !inside_the_grace && !on_its_way_too_long ->
        decide();
        if
        :: says_no -> forget()
        :: (decision == Grace && marked) || decision == Displaced -> count_turn(); answer(again)
        :: decision == Young && row.acknowledged -> answer(n)
        :: else -> take_reading(valid)
        fi }
    fi;
    if
    :: call[_pid].way == here -> goto end_idle
    :: call[_pid].way == going -> goto reply
    :: else
    fi;
    d_step {
        if
        :: swap_takes -> apply()
        :: else -> take_reading(unread); decision = nothing
        fi
    };
    if
    :: call[_pid].way == here -> goto end_idle
    :: call[_pid].way == going -> goto reply
    :: else -> goto read
    fi;

reply:
#ifdef LEASE
    if
    :: d_step { true ->
        lease = (LIFETIME - call[_pid].clock_ago < expires_in -> LIFETIME - call[_pid].clock_ago : expires_in);
#ifdef BUG_EXP_FROM_SIGNING
        lease = (LIFETIME < expires_in -> LIFETIME : expires_in);
#endif
#ifdef BUG_EXP_PAST_THE_SESSION
        lease = LIFETIME - call[_pid].clock_ago;
#endif
        must_hold(never_past_the_session, lease <= expires_in);
        must_hold(never_past_its_revocation, row.live || lease <= LIFETIME - ended_ago);
        lease = 0 }
    fi;
#endif
    if
    :: d_step { decision == Young && !sets_cookie -> forget() }
#ifndef LOSSLESS
    :: d_step { party(_pid) == HONEST -> forget() }             /* lost, or crashed after the commit */
#endif
    :: d_step { party(_pid) == HONEST && sets_cookie && !is_stalled ->
#ifndef IGNORE_THE_JAR
        must_hold(jar_keeps_the_newest, g >= jar);
#endif
        jar = g;
        seen = (g > seen -> g : seen);
        forget() }
#ifdef THIEF
    :: d_step { party(_pid) == OTHER && sets_cookie ->
        copies = copies | (1 << g);
        seen = (g > seen -> g : seen);
        forget() }
#endif
    fi;
    goto end_idle
}

/* A resource server sees an access token of the current generation, at any time once somebody has one. */
active proctype Use()
{
end:
    do
    :: d_step { row.live && !row.acknowledged && n <= seen -> row.acknowledged = true; outdate_readings() }
    od
}

#ifdef THIEF
active proctype Theft()
{
    d_step { copies = 1 << jar }
}
#endif

#ifdef END
/* Signed out, ended by an administrator, password changed: the same row, so it serializes with step 2. */
active proctype End()
{
    d_step { row.live -> row.live = false; outdate_readings() }
}
#endif

#if defined(STALLED) && !defined(CLOSE_UNSEEN)
/* The browser gives up the request that nobody answers.  Its server may know, or not. */
active proctype GiveUp()
{
end:
    do
    :: d_step { call[TABS].way == coming && call[TABS].spent > UP && !closed -> closed = true }
    od
}
#endif

#ifdef LOST_WRITES
/* A backup is taken, and takes the store's place later, while nothing is under way. */
#if TABS == 1
#define quiet (call[0].way == here)
#else
#define quiet (call[0].way == here && call[1].way == here)
#endif
active proctype Failover()
{
    d_step { copy(backup, row); backed_up = true };
    d_step { quiet -> copy(row, backup); backed_up = false; copy(backup, blank); outdate_readings() }
}
#endif

/* ---- Time: everything grows a tick older, unless an honest call would be longer under way than it may be. ---- */

#ifdef WORDING_EACH_REQUEST
#define punctual(c) (call[c].way == here || call[c].spent < GRACE)
#else
#define punctual(c) (call[c].way == here || call[c].spent < (call[c].way == coming -> UP : DOWN))
#endif
#if TABS == 1
#define all_punctual punctual(0)
#elif TABS == 2
#define all_punctual (punctual(0) && punctual(1))
#else
#define all_punctual (punctual(0) && punctual(1) && punctual(2))
#endif

#define older(age, most) age = (age < most -> age + 1 : most)

active proctype Clock()
{
end:
    do
    :: d_step { all_punctual ->
        older(row.made_ago, OLD);
        older(row.first_ago, GONE);
#ifdef LEASE
        expires_in = (expires_in > 0 -> expires_in - 1 : 0);
        if
        :: !row.live -> older(ended_ago, LIFETIME)
        :: else
        fi;
#endif
#ifdef LOST_WRITES
        if
        :: backed_up -> older(backup.made_ago, OLD); older(backup.first_ago, GONE)
        :: else
        fi;
#endif
        for (i : 0 .. CALLERS - 1) {
            if
            :: call[i].way != here && i < TABS -> call[i].spent++
#ifdef STALLED
            :: call[i].way != here && i == TABS -> older(call[i].spent, GRACE + 1)
#endif
            :: else
            fi;
#ifdef BUG_TIME_OF_THE_READING_WRITTEN
            if
            :: call[i].reading != unread -> older(call[i].read_ago, OLD)
            :: else
            fi;
#endif
#ifdef LEASE
            if
            :: call[i].way != here -> older(call[i].clock_ago, LIFETIME)
            :: else
            fi
#endif
        } }
    od
}
