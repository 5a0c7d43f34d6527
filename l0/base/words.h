/*
 * words.h - names out of a list, "mov,alu", as options take them
 *
 * Called where options are read. Needs no libc, so that modules that may not use any can take
 * lists.
 */
#ifndef L0_BASE_WORDS_H
#define L0_BASE_WORDS_H

#include "l0/base/types.h"

/**
 * words_parse - a comma-separated list of names to a bit for each
 * @names: [@n], up to 32; bit i stands for names[i]
 * Return: NULL and *@bits; or where in @list a word stands that is none of them.
 */
const char *words_parse(const char *list, const char *const *names, u32 n, u32 *bits);

#endif
