/*
 * support_file.h - find the files that belong to the program: trace provider, reader plugin
 *
 * Looked for in $NESTOR_LIBDIR, beside the program, and in build/rel below it (where the program
 * was copied from). Start-up only.
 */
#ifndef L0_BASE_SUPPORT_FILE_H
#define L0_BASE_SUPPORT_FILE_H

#include "l0/base/types.h"

/**
 * support_file_find - the path of a file that belongs to the program
 * @name: its base name, as "libnestor-provider.so"
 * @path: @size bytes for the result
 * Return: 0; -ENOENT when it is in none of the places; -ENAMETOOLONG.
 */
int support_file_find(const char *name, char *path, size_t size) __must_check;

#endif
