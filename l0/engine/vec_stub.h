/*
 * Host code stubs for vector instructions: the guest's instruction with its memory operand
 * rewritten to [rdi] and its general register to rax, followed by RET. One arena a virtual
 * processor, beside
 * its operation cache: equal instructions share a stub, the arena is bounded, and it is emptied
 * together with the cache (nothing else points into it). Its pages are mapped twice; none is
 * writable and executable at one address. Used by the worker that runs the VP only.
 */
#ifndef L0_ENGINE_VEC_STUB_H
#define L0_ENGINE_VEC_STUB_H

#include "l0/base/types.h"

#define VEC_STUB_MAX 15u /* bytes of the rewritten instruction, at most */

struct vec_stubs;

/* Return: the arena, or NULL with *err = -errno (no memory, or the host forbids executable
 * pages). */
struct vec_stubs *vec_stubs_create(int *err);
void vec_stubs_destroy(struct vec_stubs *a);

/* Find or make the stub of @code[@len]. Return: its entry, or NULL when the arena is full. */
const void *vec_stub_get(struct vec_stubs *a, const u8 *code, u32 len);

/* Bytes of the stub at @entry without its RET. */
u32 vec_stub_len(const void *entry);

/* Forget all stubs. The caller has dropped every operation that points to one. */
void vec_stubs_reset(struct vec_stubs *a);

/* Is this host address inside a stub of any arena? Async-signal-safe. */
bool vec_stub_contains(u64 host_rip);

#endif
