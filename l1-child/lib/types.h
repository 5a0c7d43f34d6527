/*
 * Fixed-width integer names for freestanding code. 64-bit code shares the project's; 32-bit guests
 * cannot (no 128-bit integers there) and get the few names they use.
 */
#ifndef L1_CHILD_LIB_TYPES_H
#define L1_CHILD_LIB_TYPES_H

#ifdef __x86_64__
#include "l0/base/types.h"
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

typedef uintptr_t uword; /* as wide as a general register */

#endif
