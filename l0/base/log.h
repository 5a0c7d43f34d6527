/*
 * log.h - diagnostics for people, one line each, chosen at run time by subsystem
 *
 * Notes (log_note) print only when their subsystem's bit is in log_mask; warnings always print.
 * Lines go to stderr as "nestor: SUBSYSTEM: text". Safe to call from anywhere, also between exit
 * and re-entry: the writer saves and restores the vector registers that libc may touch.
 * Never used for what the trace is for: transitions and decisions are events.
 * Cost when off: one load and a predicted branch.
 */
#ifndef L0_BASE_LOG_H
#define L0_BASE_LOG_H

#include "l0/base/types.h"

enum log_subsystem {
#define X(id, name) LOG_##id,
#include "l0/base/log_subsystems.def"
#undef X
	LOG_NSUBSYSTEMS
};

/* Bit n enables the notes of subsystem n. Written at start-up only. */
extern u64 log_mask;

#define log_is_on(sub) (unlikely((log_mask >> (sub)) & 1))

#define log_note(sub, ...) \
	do { \
		if (log_is_on(sub)) \
			log_write(sub, __VA_ARGS__); \
	} while (0)

#define log_warn(sub, ...) log_write(sub, __VA_ARGS__)

/* A warning printed the first time this place is reached, by whatever thread comes first. */
#define log_once(sub, ...) \
	do { \
		static bool log_done_; \
		if (unlikely(!__atomic_exchange_n(&log_done_, true, __ATOMIC_RELAXED))) \
			log_write(sub, __VA_ARGS__); \
	} while (0)

/**
 * log_write - print one line whatever the mask says
 * @sub: the subsystem that speaks
 * @fmt: printf format without the newline
 */
void log_write(enum log_subsystem sub, const char *fmt, ...) __printf_like(2, 3)
	__attribute__((cold));

/**
 * log_set_mask - turn on the subsystems that a comma-separated list names ("all" is every one)
 * @names: the list; NULL or "" turns all off
 * Return: NULL, or the first unknown name in @names (not terminated at the comma).
 */
const char *log_set_mask(const char *names);

/* Name of a subsystem, for help texts. */
const char *log_subsystem_name(enum log_subsystem sub);

#endif
