/*
 * exit_codes.h - what the program's exit status means
 *
 * One table (exit_codes.def) for the enum, the help texts and the man pages. Commands return these
 * to main(); a run may also return the odd status that a guest chose through port 0xf4.
 */
#ifndef L0_CMD_EXIT_CODES_H
#define L0_CMD_EXIT_CODES_H

enum exit_code {
#define X(id, value, meaning) EXIT_CODE_##id = value,
#include "l0/cmd/exit_codes.def"
#undef X
};

#endif
