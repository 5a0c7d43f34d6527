#include "l0/base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "l0/base/assert.h"
#include "l0/base/bits.h"

#define DEFAULT_CHUNK_BYTES (64 * KIB)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* bytes of data[] */
	size_t used;
	char data[];
};

void arena_init(struct arena *a, size_t chunk_bytes, size_t limit_bytes)
{
	*a = (struct arena){
		.chunk_bytes = chunk_bytes ? chunk_bytes : DEFAULT_CHUNK_BYTES,
		.limit_bytes = limit_bytes,
	};
}

void arena_fini(struct arena *a)
{
	struct arena_chunk *next;

	for (struct arena_chunk *c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	a->chunks = NULL;
	a->used_bytes = 0;
}

/* Room for @n aligned bytes in @c, or NULL. */
static void *chunk_take(struct arena_chunk *c, size_t n, size_t align)
{
	uintptr_t base = (uintptr_t)c->data;
	size_t start = ALIGN_UP(base + c->used, align) - base;

	if (start > c->size || n > c->size - start)
		return NULL;
	c->used = start + n;
	return c->data + start;
}

void *arena_alloc(struct arena *a, size_t n, size_t align)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	ASSERT(is_pow2(align) && align <= PAGE_SIZE);
	if (a->limit_bytes && (n > a->limit_bytes || a->used_bytes > a->limit_bytes - n))
		return NULL;
	if (n > SIZE_MAX / 2)
		return NULL;
	p = c ? chunk_take(c, n, align) : NULL;
	if (!p) {
		size_t size = MAX(a->chunk_bytes, n + align);

		c = calloc(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->next = a->chunks;
		a->chunks = c;
		p = chunk_take(c, n, align);
	}
	a->used_bytes += n;
	return p;
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size, size_t align)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return arena_alloc(a, n, align);
}

char *arena_strdup(struct arena *a, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = arena_alloc(a, n, 1);

	if (p)
		memcpy(p, s, n);
	return p;
}
