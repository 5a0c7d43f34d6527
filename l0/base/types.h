/*
 * types.h - the integer and address types that every module shares
 *
 * Included by everything, also by freestanding guest code (l1-child through l0/arch), so it needs
 * only the compiler's own headers. Each kind of address is a struct of its own: mixing a guest
 * virtual address with a guest physical one does not compile. Zero cost: a one-member struct
 * travels in a register.
 */
#ifndef L0_BASE_TYPES_H
#define L0_BASE_TYPES_H

/* clang-format off: it has no setting for one-line helpers and for casts before a minus */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#ifdef __SIZEOF_INT128__ /* not in 32-bit guest code */
typedef unsigned __int128 u128;
typedef __int128 s128;
#endif

/* Guest virtual (linear) address, seen by the code that runs. */
typedef struct {
	u64 v;
} gva_t;
/* Guest physical address of the level named by the variable (l1_gpa, l2_gpa). */
typedef struct {
	u64 v;
} gpa_t;
/* Machine physical address: offset in the simulated machine's RAM map (L1's physical address). */
typedef struct {
	u64 v;
} hpa_t;

static inline gva_t gva(u64 v)
{
	return (gva_t){v};
}
static inline gpa_t gpa(u64 v)
{
	return (gpa_t){v};
}
static inline hpa_t hpa(u64 v)
{
	return (hpa_t){v};
}

static inline gva_t gva_add(gva_t a, u64 n)
{
	return (gva_t){a.v + n};
}
static inline gpa_t gpa_add(gpa_t a, u64 n)
{
	return (gpa_t){a.v + n};
}
static inline hpa_t hpa_add(hpa_t a, u64 n)
{
	return (hpa_t){a.v + n};
}

#define PAGE_SHIFT 12
#define PAGE_SIZE UINT64_C(4096)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_SHIFT_2M 21
#define PAGE_SIZE_2M (UINT64_C(1) << PAGE_SHIFT_2M)
#define PAGE_SHIFT_1G 30
#define PAGE_SIZE_1G (UINT64_C(1) << PAGE_SHIFT_1G)

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * KIB)
#define GIB (UINT64_C(1024) * MIB)

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_SEC UINT64_C(1000000000)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define __must_check __attribute__((warn_unused_result))
#define __noinline __attribute__((noinline))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __cold_path __attribute__((cold, noinline))
#define __printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define __maybe_unused __attribute__((unused))
#define __packed __attribute__((packed))
#define __aligned_to(n) __attribute__((aligned(n)))

/* Compile-time checks; BUILD_ASSERT_SIZE sits beside a struct whose layout others rely on. */
#define BUILD_ASSERT(cond) _Static_assert(cond, #cond)
#define BUILD_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define BUILD_ASSERT_OFFSET(type, member, off) \
	_Static_assert(offsetof(type, member) == (off), "offset of " #type "." #member)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Arguments are evaluated once; names are unique, so that they nest without shadowing. */
#define MIN(a, b) MIN_(a, b, CONCAT(min_a_, __COUNTER__), CONCAT(min_b_, __COUNTER__))
#define MAX(a, b) MAX_(a, b, CONCAT(max_a_, __COUNTER__), CONCAT(max_b_, __COUNTER__))
#define MIN_(a, b, va, vb) \
	({ \
		__typeof__(a) va = (a); \
		__typeof__(b) vb = (b); \
		va < vb ? va : vb; \
	})
#define MAX_(a, b, va, vb) \
	({ \
		__typeof__(a) va = (a); \
		__typeof__(b) vb = (b); \
		va > vb ? va : vb; \
	})

/* @align must be a power of two. */
#define ALIGN_DOWN(x, align) ((x) & ~((__typeof__(x))(align)-1))
#define ALIGN_UP(x, align) ALIGN_DOWN((x) + ((__typeof__(x))(align)-1), align)
#define IS_ALIGNED(x, align) (((x) & ((__typeof__(x))(align)-1)) == 0)

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

#endif
