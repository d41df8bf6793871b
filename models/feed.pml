/*
 * The revocation feed: docs/concepts/revocation.md, for the model checker Spin.
 *
 * One revocation in a store; servers that hear of it or not, read the store, crash and come back; a verifier that follows
 * a stream, asks for digests and is asked whether a token is good.  Every way takes as long as it likes, and whatever may
 * be lost is.  README.md beside this file says how to run it, how time is abstracted, and what each seeded bug breaks.
 *
 * Scenario: SERVERS, NO_QUESTIONS, ROLLED_BACK, SLOW_READS, HEARTBEATS, CRASHES, PUT_BACK, ACCOUNT, CLOCKS.  Scale: MAX, QUEUE and,
 * with CLOCKS, LIFETIME, SKEW, MARGIN, COVERED, STEP; with RECENT, how many ticks an entry is recent.  Seeded bugs: BUG_...
 */

/* ---- Scale: a tick is the smallest span that matters, not a second. ---- */

#ifndef MAX
#define MAX 2                           /* max_staleness */
#endif
#ifndef QUEUE
#define QUEUE 1                         /* frames under way in a stream; one more, and the reader is cut */
#endif
#ifndef SERVERS
#define SERVERS 2
#endif

#ifdef CLOCKS
#ifndef LIFETIME
#define LIFETIME 3                      /* of an access token, which was issued at the instant of the end */
#endif
#ifndef SKEW
#define SKEW 1                          /* how far clocks may be apart, and what a verifier allows a token beyond exp */
#endif
#ifndef MARGIN
#define MARGIN 1                        /* digests leave out what dies so soon */
#endif
#ifndef COVERED
#define COVERED 2                       /* how long a gap digests can close */
#endif
#ifndef STEP
#define STEP 4                          /* how far somebody sets the verifier's clock, forward or back */
#endif
#define LIFE (LIFETIME + 2 * SKEW)      /* of an entry: dies_at - its commit */
#define ENDLESS (LIFE + STEP + SKEW)    /* ages are counted up to here: no rule tells older ones apart */
#define OLD (COVERED + MAX + 1)         /* what is so old closes no gap and makes nothing fresh */
#else
#define ENDLESS (MAX + 1)
#define OLD (MAX + 1)
#endif

#define NONE 255

/* ---- Rules that must always hold.  The names are never set: they make the checker's report readable. ---- */

hidden byte fresh_refuses, none_refused_without_an_entry, an_entry_stays, a_read_brings_all, a_stream_brings_all;
hidden byte kept_when_put_back, recent_never_differ, never_reached;
#define must_hold(name, what) assert((what) || name)

#define older(age, most) age = (age < most -> age + 1 : most)
#define sum(a, b) ((a) + (b) < OLD -> (a) + (b) : OLD)
#define newest(age, other) age = ((other) < age -> (other) : age)

/* ---- The store, and what is true of it. ---- */

mtype = { nothing, open, committed, undone };
mtype revocation = nothing;             /* the transaction that ends the session */
byte revoked_ago = 0;                   /* since it committed */
bool entry = false;                     /* whether the store holds it */
#ifdef PUT_BACK
bool put_back = false;                  /* the store's identity: a backup has taken its place */
bool lost = false;                      /* and no server that holds the entry has read it since: if none does, it stays */
#endif
#if defined(BUG_CURSOR_BY_TIME)
byte written_ago = 0;                   /* since the row's own time, which is that of its statement */
#endif
#ifdef ACCOUNT
bool same_second = false;               /* the old token's iat, and the end */
bool again_at_once = false;             /* the end, and the iat of the token of a new sign-in */
bool signed_in_again = false;
#endif

/* ---- The servers. ---- */

typedef Server {
    bool up = true;
    bool known;                         /* the entry is in the live set */
    bool told;                          /* an announcement is under way to it; one that never arrives is lost */
    bool warm;                          /* has read the store */
    byte as_of_ago;                     /* t - as_of */
    mtype reading = nothing;            /* open: asked for; committed: what the store held has been seen */
    byte asked_ago;
    bool held;                          /* when the read was begun */
    bool saw;
#ifdef PUT_BACK
    bool identity;                      /* of the store that it knows */
#endif
};
Server server[SERVERS];

/* ---- The verifier, and what is under way to it. ---- */

bool known = false;                     /* the entry is in its live set */
bool seen = false;                      /* has ever been */
bool warm = false;                      /* has had a snapshot */
byte stale = OLD;                       /* t - known_as_of, as it reckons */

mtype = { snapshot, revoked, heartbeat };
chan stream = [QUEUE] of { mtype, bool, byte };     /* what it is, whether it holds the entry, the server's lag */
byte follows = NONE;                    /* the server that the stream is of */
bool served = false;                    /* it has begun to answer */
byte begun_ago = 0;                     /* since the stream was asked for, until its snapshot has come */
byte last = NONE;                       /* Last-Event-ID: of which server's feed */
bool last_has = false;                  /* whether the entry's event is not after it */

byte asked = NONE;                      /* the server that was asked for digests */
byte asked_ago = 0;
bool answered = false;
bool answer_has = false;
byte answer_lag = 0;
#ifdef RECENT
bool answer_recent = false;             /* the entry, known to the server or not, dies after the answer's cut */
#endif

#ifdef CLOCKS
short offset = 0;                       /* the verifier's time - the time */
byte answer_ago = 0;                    /* since the answer was written */
byte behind = ENDLESS;                     /* the time - what the verifier takes the issuer's time to be, at least */
#define ahead (behind < ENDLESS && offset < 0 && -offset > SKEW + behind)
#define fresh (warm && stale <= MAX && !ahead)
#define accepts_its_time (revoked_ago + offset < LIFETIME + SKEW)
#define dead (revoked_ago >= LIFE)
#else
#define fresh (warm && stale <= MAX)
#define accepts_its_time (true)
#define dead (false)
#endif

/* ---- What a token is refused by. ---- */

#ifdef ACCOUNT
#ifdef BUG_CUT_OFF_BY_IAT
#define refuses_old (known && !same_second)
#define refuses_new (false)
#else
#ifdef BUG_CUT_OFF_BY_IAT_INCLUDED
#define refuses_old (known)
#define refuses_new (known && again_at_once)
#else
#define refuses_old (known)             /* version 0 < 1 */
#define refuses_new (false)             /* version 1 < 1 */
#endif
#endif
#else
#define refuses_old (known)
#endif

/* ---- What the steps have in common. ---- */

inline cut()
{
    do
    :: nempty(stream) -> stream ? _, _, _
    :: else -> break
    od;
    follows = NONE;
    served = false;
    begun_ago = 0
}

inline send(what, has, lag)
{
    if
    :: nfull(stream) -> stream ! what, has, lag
    :: else -> cut()                    /* too slow: it comes back */
    fi
}

/* A server has learned of the entry. */
inline learn(s)
{
    if
    :: !server[s].known ->
        server[s].known = true;
        if
        :: follows == s && served -> send(revoked, true, 0)
        :: else
        fi
    :: else
    fi
}

inline forget_question()
{
    asked = NONE; asked_ago = 0; answered = false; answer_has = false; answer_lag = 0;
#ifdef RECENT
    answer_recent = false;
#endif
#ifdef CLOCKS
    answer_ago = 0;
#endif
}

inline merge(has)
{
    if
    :: has -> known = true; seen = true
    :: else
#ifdef BUG_SNAPSHOT_INSTALLED
        -> known = (frame == snapshot -> false : known)
#endif
    fi
}

/* ---- The writer. ---- */

active proctype Writer()
{
    d_step { revocation == nothing -> revocation = open
#ifdef BUG_ANNOUNCED_BEFORE_THE_COMMIT
        ; server[0].told = true
#endif
    };
    if
#ifdef ROLLED_BACK
    :: d_step { true -> revocation = undone }
#endif
    :: d_step { true ->
        revocation = committed;
        entry = true;
        server[0].told = true;
#if SERVERS == 2
        server[1].told = true;
#endif
        revoked_ago = 0 }
#ifdef ACCOUNT
    :: d_step { true ->
        revocation = committed; same_second = true;
        entry = true;
        server[0].told = true;
#if SERVERS == 2
        server[1].told = true;
#endif
        revoked_ago = 0 }
#endif
    fi;
#ifdef ACCOUNT
    d_step { revocation == committed -> signed_in_again = true; again_at_once = (revoked_ago == 0) }
#endif
}

/* ---- A server. ---- */

#ifdef CLOCKS
#define in_digest(s) (server[s].known && revoked_ago < LIFE - MARGIN)
#else
#define in_digest(s) (server[s].known)
#endif

#ifdef BUG_CURSOR_BY_TIME
#define reads(s) (entry && (!server[s].warm || written_ago <= server[s].as_of_ago))
#else
#define reads(s) (entry)
#endif

inline see(s)
{
    server[s].saw = reads(s);
    server[s].reading = committed
}

inline finish(s)
{
#ifndef BUG_CURSOR_BY_TIME
    must_hold(a_read_brings_all, !entry || server[s].saw || revoked_ago <= server[s].asked_ago);
#endif
#ifdef PUT_BACK
    if
#ifndef BUG_NO_WRITING_BACK
    :: server[s].known && (server[s].identity != put_back || (server[s].held && !server[s].saw)) -> entry = true
#endif
    :: else
    fi;
    server[s].identity = put_back;
    if
    :: server[s].held && lost -> lost = false; revoked_ago = 0
    :: else
    fi;
#ifndef IGNORE_THE_STORE
    must_hold(kept_when_put_back, !server[s].held || entry);
#endif
#endif
    if
    :: server[s].saw -> learn(s)
    :: else
    fi;
#ifdef CLOCKS
    if
    :: revoked_ago >= LIFE -> server[s].known = false; server[s].told = false; entry = false
    :: else
    fi;
#endif
#ifdef BUG_AS_OF_AT_THE_END
    server[s].as_of_ago = 0;
#else
    server[s].as_of_ago = server[s].asked_ago;
#endif
    server[s].warm = true;
    forget_read(s)
}

inline forget_read(s)
{
    server[s].reading = nothing; server[s].asked_ago = 0; server[s].saw = false; server[s].held = false
}

active [SERVERS] proctype Serve()
{
end:
    do
    /* An announcement arrives. */
    :: d_step { server[_pid - 1].told && server[_pid - 1].up -> server[_pid - 1].told = false; learn(_pid - 1) }

    /* A complete read. */
#ifdef SLOW_READS
    :: d_step { server[_pid - 1].up && server[_pid - 1].reading == nothing ->
        server[_pid - 1].held = server[_pid - 1].known; server[_pid - 1].reading = open }
    :: d_step { server[_pid - 1].reading == open -> see(_pid - 1) }
    :: d_step { server[_pid - 1].reading == committed -> finish(_pid - 1) }
#else
    :: d_step { server[_pid - 1].up ->
        server[_pid - 1].held = server[_pid - 1].known; see(_pid - 1); finish(_pid - 1) }
#endif

    /* The digest request. */
    :: d_step { asked == _pid - 1 && !answered && server[_pid - 1].up && server[_pid - 1].warm ->
        answered = true; answer_has = in_digest(_pid - 1); answer_lag = server[_pid - 1].as_of_ago
#ifdef RECENT
        ; answer_recent = (revocation == committed && revoked_ago <= RECENT)
#endif
        }

    /* The stream: what is missing, or a snapshot; then what comes. */
    :: d_step { follows == _pid - 1 && !served && server[_pid - 1].up && server[_pid - 1].warm ->
        served = true;
        if
        :: last == _pid - 1 ->               /* resumed */
            begun_ago = 0;
            if
            :: server[_pid - 1].known && !last_has -> send(revoked, true, 0)
            :: else
            fi
        :: else -> send(snapshot, server[_pid - 1].known, server[_pid - 1].as_of_ago)
        fi }
#ifdef HEARTBEATS
    :: d_step { follows == _pid - 1 && served && nfull(stream) ->
        send(heartbeat, in_digest(_pid - 1), server[_pid - 1].as_of_ago) }
#endif

#ifdef CRASHES
    :: d_step { server[_pid - 1].up ->
        server[_pid - 1].up = false; server[_pid - 1].known = false; server[_pid - 1].told = false;
        server[_pid - 1].warm = false; server[_pid - 1].as_of_ago = 0;
        forget_read(_pid - 1);
        if
        :: follows == _pid - 1 -> cut()
        :: else
        fi;
        if
        :: asked == _pid - 1 && !answered -> forget_question()
        :: else
        fi;
        if
        :: last == _pid - 1 -> last = NONE; last_has = false     /* its feed has another name when it comes back */
        :: else
        fi
        }
    :: d_step { !server[_pid - 1].up -> server[_pid - 1].up = true }
#endif
    od
}

/* ---- The verifier. ---- */

#ifdef BUG_HEARTBEATS_COUNT
#define of_heartbeat (lag)
#else
#define of_heartbeat OLD                /* says nothing: a way that delays steadily keeps heartbeats flowing */
#endif
#ifdef BUG_LAG_IGNORED
#define lag_of_answer 0
#else
#define lag_of_answer answer_lag
#endif
#ifdef BUG_FRESH_FROM_THE_ARRIVAL
#define age_of_question 0
#else
#define age_of_question asked_ago
#endif

#if defined(CLOCKS) && !defined(BUG_DIGEST_CLOSES_ANY_GAP)
#define closes_the_gap (stale < OLD && stale - asked_ago <= COVERED)
#else
#define closes_the_gap (true)
#endif

inline take_frame()
{
    stream ? frame, has, lag;
    merge(has && frame != heartbeat);
    if
    :: frame == snapshot ->
        warm = true;
        newest(stale, sum(begun_ago, lag));
        begun_ago = 0; last = follows; last_has = has
    :: frame == revoked -> last = follows; last_has = true
    :: frame == heartbeat -> newest(stale, of_heartbeat)
    fi;
    frame = nothing; has = false; lag = 0
}

#ifdef RECENT
#ifdef BUG_CUT_BY_THE_SERVER_ALONE
#define mine (known)
#else
#define mine (known && !answer_recent)
#endif
#ifdef BUG_CUT_BY_THE_VERIFIER_ALONE
#define theirs (answer_has)
#else
#define theirs (answer_has && !answer_recent)
#endif
#define differs (mine != theirs)
#else
#define differs (answer_has && !known)
#endif

inline take_answer()
{
#ifdef RECENT
    must_hold(recent_never_differ, !answer_recent || !differs);
#ifndef BUG_RECENT_LEFT_OUT
    if
    :: answer_has && answer_recent -> known = true; seen = true       /* the answer lists it */
    :: else
    fi;
#endif
#endif
#ifdef CLOCKS
    if
    :: asked_ago <= MAX -> newest(behind, answer_ago)
    :: else
    fi;
#endif
    if
    :: differs -> last = NONE; last_has = false     /* ask for a snapshot */
    :: !differs && warm && closes_the_gap -> newest(stale, sum(age_of_question, lag_of_answer))
    :: else -> last = NONE; last_has = false
    fi;
    forget_question()
}

#ifdef BUG_DEATH_BY_THE_READERS_CLOCK
#define lets_go (revoked_ago + offset >= LIFE)
#else
#define lets_go (revoked_ago + offset >= LIFE && behind < ENDLESS && revoked_ago - behind >= LIFE)
#endif

active proctype Verify()
{
    mtype frame = nothing;
    bool has = false;
    byte lag = 0;
end:
    do
#ifdef CLOCKS
    /* A snapshot, at once; what comes after it is left out. */
    :: d_step { server[0].up && server[0].warm ->
        if
        :: server[0].known -> known = true; seen = true
        :: else
        fi;
        warm = true; behind = 0;
        newest(stale, server[0].as_of_ago) }
#else
    /* A stream, of whichever server the balancer takes. */
    :: d_step { follows == NONE -> follows = 0 }
#if SERVERS == 2
    :: d_step { follows == NONE -> follows = 1 }
#endif
    :: d_step { follows != NONE -> cut() }
    :: d_step { nempty(stream) -> take_frame() }
#endif

    /* The digest request; one that takes too long is given up. */
#ifndef NO_QUESTIONS
    :: d_step { asked == NONE -> asked = 0 }
#if SERVERS == 2
    :: d_step { asked == NONE -> asked = 1 }
#endif
    :: d_step { answered -> take_answer() }
    :: d_step { asked != NONE && asked_ago > MAX -> forget_question() }
#endif

#ifdef CLOCKS
    :: d_step { known && lets_go -> known = false; must_hold(an_entry_stays, dead) }
    :: d_step { offset == 0 -> offset = STEP }
    :: d_step { offset == 0 -> offset = -STEP }
    :: d_step { offset != 0 -> offset = 0 }
#endif
    od
}

/* ---- A token of the session is presented, at any time: what must hold in every state. ---- */

#ifdef PUT_BACK
#define ended (revocation == committed && !lost)
#else
#define ended (revocation == committed)
#endif

/* What a scenario must come to, or it shows nothing: REACH is one of these. */
#define refuses_while_fresh (fresh && known && revoked_ago > MAX)
#define streams_and_is_stale (warm && !fresh && follows != NONE && served)
#define knows_more_than_its_server (known && asked != NONE && answered && !answer_has)
#define store_knows_less (revocation == committed && !entry && server[0].known)
#define has_let_go (seen && !known)
#ifdef RECENT
#define answered_before_the_stream (answered && answer_has && answer_recent && !known)
#endif

active proctype Request()
{
end:
    do
    :: d_step { true ->
        must_hold(fresh_refuses, !ended || !fresh || revoked_ago <= MAX || !accepts_its_time || refuses_old);
        must_hold(none_refused_without_an_entry, !known || revocation == committed);
#ifdef ACCOUNT
        must_hold(none_refused_without_an_entry, !signed_in_again || !refuses_new);
#endif
        must_hold(an_entry_stays, !seen || known || dead);
#ifndef CLOCKS
        must_hold(a_stream_brings_all,
            follows == NONE || !served || nempty(stream) || known || !server[follows].known);
#endif
#ifdef REACH
        must_hold(never_reached, !(REACH));
#endif
        }
    od
}

#ifdef PUT_BACK
/* A backup or a standby, from before the commit, takes the store's place. */
active proctype Failover()
{
    d_step { revocation == committed && !put_back ->
        put_back = true; lost = true; entry = false; revoked_ago = 0 }
}
#endif

/* ---- Time: everything grows a tick older. ---- */

active proctype Clock()
{
    byte i;
end:
    do
    :: d_step { true ->
#ifdef PUT_BACK
        if
        :: ended -> older(revoked_ago, ENDLESS)
        :: else
        fi;
#else
        if
        :: revocation == committed -> older(revoked_ago, ENDLESS)
        :: else
        fi;
#endif
#ifdef BUG_CURSOR_BY_TIME
        if
        :: revocation != nothing -> older(written_ago, ENDLESS)
        :: else
        fi;
#endif
        for (i : 0 .. SERVERS - 1) {
            if
            :: server[i].warm -> older(server[i].as_of_ago, OLD)
            :: else
            fi;
            if
            :: server[i].reading != nothing -> older(server[i].asked_ago, OLD)
            :: else
            fi
        }
        i = 0;
        older(stale, OLD);
        if
        :: follows != NONE && (!served || nempty(stream)) -> older(begun_ago, OLD)
        :: else
        fi;
#ifdef CLOCKS
        if
        :: answered -> older(answer_ago, OLD)
        :: else
        fi;
#endif
        if
        :: asked != NONE -> older(asked_ago, OLD)
        :: else
        fi }
#ifdef BUG_TICKS_STOP_IN_SLEEP
    /* The verifier's machine is suspended, and its clock with it. */
    :: d_step { true ->
        if
        :: revocation == committed -> older(revoked_ago, ENDLESS)
        :: else
        fi }
#endif
    od
}
