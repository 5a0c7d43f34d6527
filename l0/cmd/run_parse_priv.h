/*
 * run_parse_priv.h - what the files of run_parse.h share: the parser's state, the keys, readers of
 * values
 *
 * Each reader takes the option's name and its text, and returns whether that is right; if not it
 * has printed one line that names the option, or the lab file, its line and the key.
 */
#ifndef L0_CMD_RUN_PARSE_PRIV_H
#define L0_CMD_RUN_PARSE_PRIV_H

#include "l0/cmd/run_parse.h"

enum {
	/* of a machine */
	KEY_INITRD = CMD_KEY_LONG,
	KEY_MODULE,
	KEY_ENTRY,
	KEY_CPU_MODEL,
	KEY_WEIGHT,
	KEY_RESERVE,
	KEY_TRACK,
	KEY_FENCE,
	KEY_DECLARE,
	KEY_SERIAL,
	KEY_INPUT,
	KEY_DISK,
	KEY_CDROM,
	KEY_NET,
	KEY_CONSOLE,
	KEY_RNG,
	KEY_RESET,
	KEY_CPU_HOTPLUG,
	KEY_TRIPLE_FAULT,
	KEY_FIRMWARE,
	KEY_VGA_DUMP,
	KEY_SYMBOLS,
	/* of the run */
	KEY_CLOCK,
	KEY_IDLE,
	KEY_SCHED,
	KEY_PARKING,
	KEY_TOPOLOGY,
	KEY_SLICE,
	KEY_INSN_TIME,
	KEY_CHARGE,
	KEY_FOR,
	KEY_TIMEOUT,
	KEY_SEED,
	KEY_FLIGHT,
	KEY_ON,
	/* for debugging */
	KEY_GDB,
	KEY_TRACE_EXEC,
	KEY_ENGINE,
	KEY_JIT_MEMORY,
	KEY_JIT_HEAT,
	KEY_JIT_OFF,
	KEY_TLB,
	KEY_VTLB_MEMORY,
	KEY_VTLB_NODES,
	KEY_VTLB_WITHOUT,
	KEY_DETECT_STALE,
	KEY_COUNT,
	KEY_STATS,
	KEY_VMX_COVERAGE,
	KEY_EXPLAIN,
	KEY_NO_VMCS_SHADOWING,
	KEY_LOG,
};

#define MAX_SYMBOL_ARGS 64

struct parse {
	const struct cmd *cmd;
	struct run_options *opts;
	struct machine_desc defaults; /* of options before the first image */
	struct machine_desc *current; /* machine that options apply to; NULL: defaults */
	const char *lab_path;	      /* file being read, or NULL: the command line */
	int lab_line, machine_line;   /* machine_line: of the section of @current */
	bool clock_given, had_lab;
	struct {
		const char *value, *at;
		int machine; /* index, or -1: before the first image */
	} symbols[MAX_SYMBOL_ARGS];
	unsigned nsymbols;
	int status; /* RUN_PARSE_OK, or of the first error */
};

/* --- run_parse.c --- */

/* Option @key with @value; for one without a value that is NULL. */
bool parse_option(struct parse *p, int key, const char *value);

/* --- run_parse_machine.c, run_parse_run.c --- */

/* One of a machine / of the run / for debugging. *@known becomes false when @key is none of
 * these. */
bool parse_machine_option(struct parse *p, const char *name, int key, const char *value,
			  bool *known);
bool parse_run_option(struct parse *p, const char *name, int key, const char *value, bool *known);
bool parse_debug_option(struct parse *p, const char *name, int key, const char *value, bool *known);

/* A further machine, the current one from now on; NULL: there are too many. */
struct machine_desc *parse_new_machine(struct parse *p);
/* ... with its image, or firmware, and a name after that. */
bool parse_image(struct parse *p, const char *image);
bool parse_firmware(struct parse *p, const char *path);
bool parse_machine_name(struct parse *p, struct machine_desc *m, const char *name);

/* A file that a lab's machine needs to start. */
bool parse_file_is_there(struct parse *p, const char *name, const char *path);

/* Hand each --symbols to its machine, now that all names are known. */
bool parse_symbols(struct parse *p);

/* --- run_parse_lab.c --- */

bool parse_lab(struct parse *p, const char *path);

/* --- run_parse_values.c --- */

/* Print an error about option (key) @name and remember the status. Return: false. */
bool parse_bad(struct parse *p, const char *name, const char *fmt, ...) __printf_like(3, 4);
bool parse_number(struct parse *p, const char *name, const char *value, u64 min, u64 max, u64 *out);
/* 1 to @max */
bool parse_unsigned(struct parse *p, const char *name, const char *value, unsigned max,
		    unsigned *out);
/* in ns, above 0 */
bool parse_time(struct parse *p, const char *name, const char *value, u64 *out);
/* in bytes; @range: @min and @max in words */
bool parse_size(struct parse *p, const char *name, const char *value, u64 min, u64 max,
		const char *range, u64 *out);
/* One of the @n words in @words; *@out is its index. */
bool parse_word(struct parse *p, const char *name, const char *value, const char *const *words,
		unsigned n, unsigned *out);
/* Lab files: paths are relative to the file's own folder, and the text does not live long. These
 * results live as long as the options. */
const char *parse_path(const struct parse *p, const char *path);
const char *parse_keep(const struct parse *p, const char *value);
/* Return: a copy that lives as long as the options; NULL when memory is short. */
char *parse_copy(const struct parse *p, const char *value);

#endif
