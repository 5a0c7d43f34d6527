/*
 * stale.h - one access or change of an entry as one instruction with a name, so that a report of
 * the detector can be compared word by word. Each name once a program.
 */
#ifndef TESTS_GUESTS_STALE_H
#define TESTS_GUESTS_STALE_H

#include "l0/base/types.h"

#define READ_AT(name, p) \
	({ \
		u32 v_; \
		__asm__ volatile(".globl " #name "\n" #name ": movzbl (%1), %0" \
				 : "=r"(v_) \
				 : "r"(p) \
				 : "memory"); \
		v_; \
	})
#define WRITE_AT(name, p, v) \
	__asm__ volatile(".globl " #name "\n" #name ": movb %b0, (%1)" \
			 : \
			 : "q"(v), "r"(p) \
			 : "memory")
#define CHANGE_AT(name, entry, v) \
	__asm__ volatile(".globl " #name "\n" #name ": movq %0, (%1)" \
			 : \
			 : "r"((u64)(v)), "r"(entry) \
			 : "memory")

/* Much more than 10 ms of guest time. */
static inline void spend_time(void)
{
	for (volatile u32 i = 0; i < 5000000u; i++)
		;
}

/* "WHAT v": the value is a letter. */
#define SAY(put, what, value) \
	do { \
		char text_[] = {(char)(value), '\n', 0}; \
		put(what " "); \
		put(text_); \
	} while (0)

#endif
