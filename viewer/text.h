/*
 * text: numbers as the viewer's columns show them
 *
 * Pure; each returns its buffer of TEXT_BYTES.
 */
#ifndef VIEWER_TEXT_H
#define VIEWER_TEXT_H

#include "l0/base/types.h"

#define TEXT_BYTES 32

/* At most seven columns: "873 ns" is "873ns"; 1.25us, 12.5ms, 125s */
const char *text_duration(u64 ns, char *buf);

/* At most seven columns: 0, 12.3, 1234, 123456, 12.3M */
const char *text_rate(double rate, char *buf);

/* With commas: 12,345,678 */
const char *text_count(u64 n, char *buf);

#endif
