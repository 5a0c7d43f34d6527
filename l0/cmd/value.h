/*
 * value.h - sizes, times and numbers as people write them
 *
 * For option arguments, lab files and numbers in scripts. Pure.
 */
#ifndef L0_CMD_VALUE_H
#define L0_CMD_VALUE_H

#include "l0/base/types.h"

/**
 * value_parse_u64 - a whole number, decimal, 0x… or 0…
 * Return: 0 and *@out; -EINVAL when @s is not one; -ERANGE when it is too large.
 */
int value_parse_u64(const char *s, u64 *out) __must_check;

/**
 * value_parse_size - bytes: a number with K, M, G or T (powers of 1024, "iB" or "B" may follow)
 * Return: as value_parse_u64().
 */
int value_parse_size(const char *s, u64 *out) __must_check;

/**
 * value_parse_time_ns - a time with its unit: ns, us, ms, s, m or h; may have a fraction ("1.5s")
 * Return: as value_parse_u64(); a bare number other than 0 is -EINVAL.
 */
int value_parse_time_ns(const char *s, u64 *out) __must_check;

#endif
