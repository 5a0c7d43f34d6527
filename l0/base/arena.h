/*
 * arena.h - many small allocations that are freed together
 *
 * For objects that live as long as their owner (a machine, a trace model). Grows by chunks from
 * the heap; memory comes zeroed; nothing is freed alone. Not thread-safe, one owner at a time.
 * Cost: a bump of a pointer, a heap allocation for each chunk.
 */
#ifndef L0_BASE_ARENA_H
#define L0_BASE_ARENA_H

#include "l0/base/types.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t chunk_bytes;	    /* least size of a chunk */
	size_t used_bytes;	    /* handed out so far */
	size_t limit_bytes;	    /* 0: none */
};

/**
 * arena_init - an empty arena in the caller's memory
 * @chunk_bytes: least size of each chunk; 0 takes the default
 * @limit_bytes: arena_alloc() fails beyond this many bytes; 0 for no limit
 */
void arena_init(struct arena *a, size_t chunk_bytes, size_t limit_bytes);

/* Free everything; the arena is empty and usable again. */
void arena_fini(struct arena *a);

/**
 * arena_alloc - @n zeroed bytes
 * @align: power of two, at most 4096
 * Return: the memory, owned by the arena; NULL when the heap or the limit is exhausted.
 */
void *arena_alloc(struct arena *a, size_t n, size_t align) __must_check;

/* Copy of the string @s; NULL as for arena_alloc(). */
char *arena_strdup(struct arena *a, const char *s) __must_check;

/* One zeroed object, or @count of them, of a type. */
#define arena_new(a, type) ((type *)arena_alloc(a, sizeof(type), _Alignof(type)))
#define arena_new_array(a, type, count) \
	((type *)arena_alloc_array(a, count, sizeof(type), _Alignof(type)))

/* As arena_alloc() for @count times @size bytes; NULL also when the product overflows. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size, size_t align) __must_check;

#endif
