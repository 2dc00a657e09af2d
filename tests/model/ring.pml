/* SPDX-License-Identifier: MIT */
/*
 * ring.pml - the model of a ring's lock, commit, wake-up and death (points 3 to 6 of libcore/ipc/ring.h), for spin.
 *
 * An item is there or it is not: ready, delayed, leased and dead are values of one word, changed by one store. Putters put an
 * item each, takers take for ever; any of them may be killed between any two steps, KILLS of them at most.
 * When nobody can do anything any more, there must be no item that a living taker could have: no wake-up is lost. What a put
 * returned for was taken or is there: no item is lost but in the hands of a dead taker.
 *
 * -DWAKE_AFTER_COMMIT is the ring with a wake-up that comes too late, -DNO_TURN the one that wakes one sleeper without a turn
 * that survives it: run shows that the model finds both faults.
 */
#ifndef KILLS
#define KILLS 2
#endif
#define PUTTERS 2
#define TAKERS 3
#define NOBODY 255

byte kills = KILLS;
byte items, returned, taken, gone_with_taker, dead_takers;

byte lock = NOBODY;
bool owner_died;
byte turn = NOBODY; /* the kernel frees it when its owner dies */
byte epoch;
bool waiting;
bool asleep[TAKERS];

inline die_holding() {
	if
	:: lock == me -> lock = NOBODY; owner_died = true
	:: else
	fi;
	if
	:: turn == me -> turn = NOBODY
	:: else
	fi
}

/* One step, or death in its place. */
#define STEP(what) \
	if \
	:: atomic { what } \
	:: atomic { kills > 0 -> kills--; die_holding(); goto dead } \
	fi

inline wake_all() {
	for (i : 0 .. TAKERS - 1) {
		asleep[i] = false
	}
}

/* Only with -DNO_TURN do several sleep here, and then one is woken. */
inline wake_one() {
#ifdef NO_TURN
	if
	:: asleep[0] -> asleep[0] = false
	:: !asleep[0] && asleep[1] -> asleep[1] = false
	:: else -> asleep[2] = false
	fi
#else
	wake_all()
#endif
}

#define ACQUIRE \
	STEP(lock == NOBODY -> lock = me); \
	if \
	:: owner_died -> \
		STEP(epoch++); \
		STEP(wake_all()); \
		STEP(owner_died = false) \
	:: else \
	fi

#define WAKE \
	if \
	:: waiting -> \
		STEP(waiting = false); \
		STEP(epoch++); \
		STEP(wake_one()) \
	:: else \
	fi

proctype putter(byte me) {
	byte i;

	ACQUIRE;
#ifdef WAKE_AFTER_COMMIT
	STEP(items++);
	WAKE;
#else
	WAKE;
	STEP(items++);
#endif
	STEP(lock = NOBODY);
	returned++;
dead:	skip
}

/* me - PUTTERS is the number of the taker */
proctype taker(byte me) {
	byte i, seen;
	bool has;

look:	ACQUIRE;
	if
	:: items > 0 ->
		STEP(items--; has = true);
		STEP(lock = NOBODY);
		STEP(taken++; has = false);
		goto look
	:: else
	fi;
	STEP(lock = NOBODY);
#ifndef NO_TURN
	STEP(turn == NOBODY -> turn = me);
#endif
again:	ACQUIRE;
	if
	:: items > 0 ->
		STEP(items--; has = true);
		STEP(lock = NOBODY);
		STEP(if :: turn == me -> turn = NOBODY :: else fi);
		STEP(taken++; has = false);
		goto look
	:: else
	fi;
	STEP(waiting = true);
	STEP(seen = epoch);
	STEP(lock = NOBODY);
	STEP(asleep[me - PUTTERS] = (epoch == seen));
	STEP(!asleep[me - PUTTERS]);
	goto again;
dead:	atomic {
		dead_takers++;
		asleep[me - PUTTERS] = false;
		gone_with_taker = gone_with_taker + has
	}
}

init {
	byte n;

	atomic {
		for (n : 0 .. PUTTERS - 1) { run putter(n) };
		for (n : PUTTERS .. PUTTERS + TAKERS - 1) { run taker(n) }
	};
	timeout -> /* nobody can do anything any more */
		assert(items == 0 || dead_takers == TAKERS);
		assert(items + taken + gone_with_taker >= returned);
		assert(items + taken + gone_with_taker <= PUTTERS)
}
