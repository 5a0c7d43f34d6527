/*
 * machine_desc.h - what one simulated machine is made of, as plain data
 *
 * Filled from the command line (l0/cmd) or a lab file (l0/lab); read by l0/machine.c, which builds
 * the machine. Strings belong to whoever filled it and live as long as the program.
 */
#ifndef L0_LAB_MACHINE_DESC_H
#define L0_LAB_MACHINE_DESC_H

#include "l0/base/types.h"
#include "l0/lab/place.h"

#define MACHINE_MAX_NAME 32
#define MACHINE_MAX_SYMBOLS 8
#define MACHINE_MAX_CPUS 64
#define MACHINE_MAX_DISKS 8
#define MACHINE_MAX_IDE_DISKS 2 /* of those */
#define MACHINE_MAX_CDROMS 2
#define MACHINE_MAX_MODULES 16
#define MACHINE_MAX_FORWARDS 16
#define MACHINE_MAX_CPU_CHANGES 32
#define MACHINE_MAX_WEIGHT 10000
#define MACHINE_MIN_MEMORY (1 * MIB)
#define MACHINE_MAX_MEMORY (512 * GIB)
#define MACHINE_DEFAULT_MEMORY (128 * MIB)

struct machine_disk {
	const char *path;
	const char *serial; /* or NULL */
	bool read_only, is_ide;
};

struct machine_module {
	const char *path, *args; /* args: or NULL */
};

/* A port of the host's loopback that leads to one of the guest. */
struct machine_forward {
	bool udp;
	u16 host_port, guest_port;
};

struct machine_net {
	bool user; /* a card behind user-mode networking; false: no card */
	unsigned nforwards;
	struct machine_forward forward[MACHINE_MAX_FORWARDS];
};

/* How threads of a machine's kernels are told apart (l0/track/track.h: enum track_threads_by). */
enum machine_threads {
	MACHINE_THREADS_OFF,
	MACHINE_THREADS_STACK,
	MACHINE_THREADS_FS,
	MACHINE_THREADS_GS
};

struct machine_desc {
	char name[MACHINE_MAX_NAME]; /* unique in the run; of files, events and the viewer */
	const char *image;	     /* ELF32/64, multiboot 1/2, PVH, bzImage; or firmware */
	bool is_firmware;	     /* image is what the machine starts in at its reset vector */
	const char *initrd;	     /* or NULL */
	struct machine_module module[MACHINE_MAX_MODULES];
	unsigned nmodules;
	unsigned entry;	       /* 16, 32, 64; 0: the loader's choice */
	const char *append;    /* command line for the image; NULL: none */
	const char *cpu_model; /* a name of cpu_models.def; NULL: the default */
	const char *serial;    /* file, "-" (terminal), "none"; NULL: the default of the run */
	const char *input;     /* script of terminal input at virtual times, or NULL */
	const char *symbols[MACHINE_MAX_SYMBOLS]; /* FILE[@slide] */
	const char *symbols_at[MACHINE_MAX_SYMBOLS];
	unsigned nsymbols;
	struct machine_disk disk[MACHINE_MAX_DISKS];
	unsigned ndisks;
	const char *cdrom[MACHINE_MAX_CDROMS];
	unsigned ncdroms;
	struct machine_net net;
	const char *console; /* of virtio: file, "-" (terminal); NULL: there is none */
	bool rng;
	const char *vga_dump; /* file for the text screen as it is in the end, or NULL */
	bool reset_given;
	bool triple_resets; /* a triple fault is a reset; false: it stops the machine with a dump */
	bool reboots;	    /* a reset starts it again; false: it ends the machine */
	u64 memory_bytes;
	unsigned cpus;
	bool cpu_hotplug; /* processors may come and go, and do so: */
	struct {
		u64 at_ns; /* 0: so at the start */
		unsigned cpu;
		bool plug;
	} cpu_change[MACHINE_MAX_CPU_CHANGES];
	unsigned ncpu_changes;
	/* processor time it gets in each period at least; 0: none */
	u64 reserve_ns, reserve_period_ns;
	bool declares; /* its VMM may declare what its guests need */
	/* which of its guests (or a process) comes after all that is real-time; NULL: none */
	const char *fence;
	enum machine_threads threads_by;
	unsigned stack_bytes;	    /* of their kernel stacks; 0: the default */
	const struct place *places; /* where its options were given */
	/* share of the host's processors relative to the other machines; 0: the default */
	unsigned weight;
};

#endif
