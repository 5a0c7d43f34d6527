/* cmd_test.c - l0/cmd: values, option parsing of `nestor run`, lab files; every error has its
 * status */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "l0/cmd/run_parse.h"
#include "l0/cmd/value.h"

static char dir[] = "/tmp/nestor-cmd-test.XXXXXX";
static struct run_options opts;

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Parse a command line given as words separated by '|'. */
static int parse(const char *line)
{
	static char copy[1024]; /* the options point into it */
	static char name[] = "run";
	char *argv[40] = {name};
	int argc = 1;

	run_options_fini(&opts); /* of the call before */
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, "|"); w; w = strtok(NULL, "|"))
		argv[argc++] = w;
	return run_parse(&cmd_run, argc, argv, &opts);
}

static void test_values(void **state)
{
	static const struct {
		const char *text;
		int err;
		u64 want;
	} sizes[] =
		{
			{"64M", 0, 64 * MIB}, {"2g", 0, 2 * GIB},  {"4096", 0, 4096},
			{"1KiB", 0, 1024},    {"0x10", 0, 16},	   {"3Q", -EINVAL, 0},
			{"", -EINVAL, 0},     {"-1", -EINVAL, 0},  {"99999999T", -ERANGE, 0},
			{"1Mx", -EINVAL, 0},  {" 1M", -EINVAL, 0},
		},
	  times[] = {
		  {"10s", 0, 10 * NS_PER_SEC},
		  {"500ms", 0, 500 * NS_PER_MS},
		  {"1.5s", 0, 1500000000},
		  {"0.000000001s", 0, 1},
		  {"2h", 0, 7200 * NS_PER_SEC},
		  {"0", 0, 0},
		  {"10", -EINVAL, 0},
		  {"1.s", -EINVAL, 0},
		  {"s", -EINVAL, 0},
		  {"99999999999999h", -ERANGE, 0},
	  };
	u64 got;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(value_parse_size(sizes[i].text, &got), sizes[i].err);
		if (!sizes[i].err)
			assert_int_equal(got, sizes[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		assert_int_equal(value_parse_time_ns(times[i].text, &got), times[i].err);
		if (!times[i].err)
			assert_int_equal(got, times[i].want);
	}
}

static void test_run_defaults(void **state)
{
	assert_int_equal(parse("a.elf"), RUN_PARSE_OK);
	assert_int_equal(opts.nmachines, 1);
	assert_string_equal(opts.machines[0].name, "a");
	assert_int_equal(opts.machines[0].memory_bytes, MACHINE_DEFAULT_MEMORY);
	assert_int_equal(opts.machines[0].cpus, 1);
	assert_int_equal(opts.clock, RUN_CLOCK_HOST);
	assert_int_equal(opts.workers, 1);
	assert_null(opts.output);
}

static void test_run_scopes(void **state)
{
	assert_int_equal(parse("-m|32M|a.elf|--append|one|a.elf|--append|two|-m|64M|--name|b|"
			       "--clock|virtual|--for|10s|-o|out"),
			 RUN_PARSE_OK);
	assert_int_equal(opts.nmachines, 2);
	assert_string_equal(opts.machines[0].append, "one");
	assert_string_equal(opts.machines[1].append, "two");
	assert_string_equal(opts.machines[1].name, "b");
	assert_int_equal(opts.machines[0].memory_bytes, 32 * MIB);
	assert_int_equal(opts.machines[1].memory_bytes, 64 * MIB);
	assert_int_equal(opts.for_ns, 10 * NS_PER_SEC);
	assert_int_equal(opts.workers, 1);
	assert_string_equal(opts.output, "out");
	assert_int_equal(parse("a.elf|a.elf|-o|out"), RUN_PARSE_OK);
	assert_string_equal(opts.machines[1].name, "a-2");
}

static void test_run_symbols(void **state)
{
	assert_int_equal(parse("--symbols|all.map|a.elf|a.elf|--name|b|--symbols|own=x.map|"
			       "--symbols|a=y.map@0x1000|-o|out"),
			 RUN_PARSE_OK);
	assert_int_equal(opts.machines[0].nsymbols, 2);
	assert_string_equal(opts.machines[0].symbols[0], "all.map");
	assert_string_equal(opts.machines[0].symbols[1], "y.map@0x1000");
	assert_int_equal(opts.machines[1].nsymbols, 2);
	assert_string_equal(opts.machines[1].symbols[1], "own=x.map");
}

static void test_run_errors(void **state)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {
		{"", EXIT_CODE_USAGE},
		{"nonexistent.elf", EXIT_CODE_BAD_IMAGE},
		{"/tmp", EXIT_CODE_BAD_IMAGE},
		{"a.elf|--frob", EXIT_CODE_USAGE},
		{"a.elf|--memory", EXIT_CODE_USAGE},
		{"a.elf|--memory|0", EXIT_CODE_USAGE},
		{"a.elf|--memory|1000001", EXIT_CODE_USAGE},
		{"a.elf|--memory|999T", EXIT_CODE_USAGE},
		{"a.elf|--cpus|0", EXIT_CODE_USAGE},
		{"a.elf|--cpus|1000000", EXIT_CODE_USAGE},
		{"a.elf|--cpus|-1", EXIT_CODE_USAGE},
		{"a.elf|--clock|sundial", EXIT_CODE_USAGE},
		{"a.elf|--sched|nosuch", EXIT_CODE_USAGE},
		{"a.elf|--log|nosuch", EXIT_CODE_USAGE},
		{"a.elf|--for|10", EXIT_CODE_USAGE},
		{"a.elf|--name|a/b", EXIT_CODE_USAGE},
		{"a.elf|--name|..", EXIT_CODE_USAGE},
		{"--name|x|a.elf", EXIT_CODE_USAGE},
		{"a.elf|a.elf|--name|a", EXIT_CODE_USAGE},
		{"a.elf|--initrd|nonexistent", EXIT_CODE_BAD_IMAGE},
		{"a.elf|--idle|real", EXIT_CODE_USAGE},
		{"a.elf|--serial|-|a.elf|--serial|-", EXIT_CODE_USAGE},
		{"a.elf|-o|/nonexistent/out", EXIT_CODE_HOST},
		{"a.elf|--record|-o|full", EXIT_CODE_USAGE},
		{"nonexistent.ini", EXIT_CODE_USAGE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int got = parse(cases[i].line);

		if (got != cases[i].status)
			print_error("command line %s\n", cases[i].line);
		assert_int_equal(got, cases[i].status);
	}
}

static void test_lab(void **state)
{
	write_file("lab.ini", "[host]\nworkers = 2\ncharge = entry=1us,vp-switch=5us\nfor = "
			      "5s\nrecord = no\noutput = out\n"
			      "[machine A]\nimage = a.elf\nappend = rt batch\n"
			      "[machine B]\nimage = a.elf\nmemory = 64M\nsymbols = x.map\n");
	assert_int_equal(parse("lab.ini"), RUN_PARSE_OK);
	assert_int_equal(opts.nmachines, 2);
	assert_string_equal(opts.machines[0].name, "A");
	assert_string_equal(opts.machines[0].append, "rt batch");
	assert_int_equal(opts.machines[1].memory_bytes, 64 * MIB);
	assert_int_equal(opts.machines[1].nsymbols, 1);
	assert_int_equal(opts.clock, RUN_CLOCK_VIRTUAL);
	assert_int_equal(opts.workers, 2);
	assert_int_equal(opts.charge_ns[RUN_CHARGE_ENTRY], 1000);
	assert_int_equal(opts.charge_ns[RUN_CHARGE_VP_SWITCH], 5000);
	assert_string_equal(opts.sched, "qos");
	assert_false(opts.record);

	/* the command line holds, wherever it says so */
	assert_int_equal(parse("--for|2s|--charge|entry=3us|lab.ini|--workers|3"), RUN_PARSE_OK);
	assert_int_equal(opts.for_ns, 2 * NS_PER_SEC);
	assert_int_equal(opts.charge_ns[RUN_CHARGE_ENTRY], 3000);
	assert_int_equal(opts.charge_ns[RUN_CHARGE_VP_SWITCH], 5000);
	assert_int_equal(opts.workers, 3);
}

static void test_lab_errors(void **state)
{
	static const char *const bad[] = {
		"[machine A]\nappend = no image\n",
		"[machine A]\nimage = a.elf\nworkers = 1\n",
		"[host]\nmemory = 1M\n",
		"[machine A]\nimage = a.elf\n[machine B]\nimage = a.elf\n[machine A]\nimage = "
		"a.elf\n",
		"[machine a b]\nimage = a.elf\n",
		"[cluster]\nx = 1\n",
		"workers = 1\n",
		"no equals sign\n",
		"[machine A]\nimage = a.elf\nmemory = lots\n",
		"[host]\nrecord = maybe\n",
		"[host]\nworkers = -1\n",
		"[host]\ncharge = entry\n[machine A]\nimage = a.elf\n",
		"[host]\ncharge = entry=2ms\n[machine A]\nimage = a.elf\n",
		"[host]\ncharge = breakfast=1us\n[machine A]\nimage = a.elf\n",
		"[host]\nfor = -10s\n",
		"[machine A]\nimage = a.elf\nweight = 0\n",
		"[machine A]\nimage = a.elf\nweight = 10001\n",
		"[machine A]\nimage = a.elf\nreserve = 2ms\n",
		"[machine A]\nimage = a.elf\nreserve = 11ms/10ms\n",
		"[machine A]\nimage = a.elf\nreserve = -2ms/10ms\n",
		"[host]\nsched = qos\n[machine A]\nimage = a.elf\nreserve = 6ms/10ms\n"
		"[machine B]\nimage = a.elf\nreserve = 6ms/10ms\n",
		"[host]\nsched = rr\n[machine A]\nimage = a.elf\nreserve = 2ms/10ms\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		write_file("bad.ini", bad[i]);
		if (parse("bad.ini") != EXIT_CODE_USAGE)
			fail_msg("accepted: %s", bad[i]);
	}
}

static int set_up(void **state)
{
	if (!mkdtemp(dir) || chdir(dir))
		return -1;
	write_file("a.elf", "x");
	if (mkdir("out", 0777) || mkdir("full", 0777))
		return -1;
	write_file("full/file", "x");
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"a.elf",   "full/file", "lab.ini",
					    "bad.ini", "out",	    "full"};

	run_options_fini(&opts);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		remove(names[i]);
	return chdir("/") || rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	   cmocka_unit_test(test_run_defaults),
		cmocka_unit_test(test_run_scopes), cmocka_unit_test(test_run_symbols),
		cmocka_unit_test(test_run_errors), cmocka_unit_test(test_lab),
		cmocka_unit_test(test_lab_errors),
	};

	return cmocka_run_group_tests_name("cmd", tests, set_up, tear_down);
}
