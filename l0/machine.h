/*
 * struct machine: one child VMM's complete computer: RAM, processors, virtual TLB, devices,
 * tracking. Built from its description, run by workers, torn down by whoever built it. machine.c
 * wires the modules together and holds the callbacks by which devices, engine and exit layer reach
 * the host they run on; it makes no decision of its own.
 */
#ifndef L0_MACHINE_H
#define L0_MACHINE_H

#include "l0/arch/vmx.h"
#include "l0/boot/boot.h"
#include "l0/dev/bus.h"
#include "l0/engine/engine.h"
#include "l0/exit/exit.h"
#include "l0/lab/machine_desc.h"
#include "l0/symbols/symbols.h"
#include "l0/sched/sched.h"
#include "l0/track/track.h"

struct chardev;
struct cpu_hotplug;
struct fw_cfg;
struct host;
struct machine;
struct rom;
struct uart;
struct vga;
struct virtio_console;
struct vmcs_records;
struct worker;

#define MACHINE_MSR_REPORTS 64u

/* A level-1 virtual processor with all that hangs on it. */
struct vcpu {
	struct vp vp;
	struct nvmx nv;
	struct trace_ctx trace;
	struct track_vp track;
	struct sched_vp sched;
	struct machine *machine;
	u32 sipi_vector;
	_Atomic bool eject_wanted; /* the guest ejected it, see machine_eject() */
	/* atomic; while it is blocked: when the preemption timer of its halted guest fires */
	u64 wake_ns;
	u64 shown_cr3; /* atomic; as it left its worker, for other workers' events */
	u32 shown_activity;
	bool shown_deaf;
	u64 wake_due_ns; /* due time of what woke it, for the wake transition */
	u32 wake_cause, wake_vector;
	u64 charged_switch_ns, charged_exit_ns; /* virtual clock: of its time, L0's own work */
};

static inline u64 vcpu_wake_ns(const struct vcpu *c)
{
	return __atomic_load_n(&c->wake_ns, __ATOMIC_RELAXED);
}

static inline void vcpu_set_wake_ns(struct vcpu *c, u64 ns)
{
	__atomic_store_n(&c->wake_ns, ns, __ATOMIC_RELAXED);
}

/* Does its halt, if it is in one, last whatever its devices and timers do? */
static inline bool vcpu_is_deaf(const struct vp *vp)
{
	if (vp->ev.mwait)
		return false;
	return vp->cpu.activity != ACTIVITY_HLT ||
	       (!(vp->cpu.rflags & RFLAGS_IF) &&
		!(vp->in_l2 && (vp->ctl.pin & PIN_EXTERNAL_INTERRUPT)));
}

static inline void vcpu_show(struct vcpu *c)
{
	__atomic_store_n(&c->shown_deaf, vcpu_is_deaf(&c->vp), __ATOMIC_RELAXED);
	__atomic_store_n(&c->shown_cr3, c->vp.cpu.cr3, __ATOMIC_RELAXED);
	__atomic_store_n(&c->shown_activity, c->vp.cpu.activity, __ATOMIC_RELAXED);
}

struct machine {
	struct host *host;
	u32 id;
	const struct machine_desc *desc;
	struct mem *mem;
	struct vtlb *vtlb;
	struct machine_bus bus;
	struct cpu_profile profile;
	struct track *track;
	struct vmcs_records *records; /* for explanations of failed VM entries; NULL: not kept */
	struct vcpu *vcpu;
	u32 nvcpus;
	struct boot_state boot;
	struct chardev *serial, *debugcon;
	struct uart *uart;
	struct rom *rom; /* firmware; NULL: the image starts without */
	struct fw_cfg *fw_cfg;
	struct vga *vga;
	struct cpu_hotplug *hotplug; /* NULL: processors neither come nor go */
	struct chardev *console_out; /* of the virtio console; owned */
	struct virtio_console *console;
	bool console_is_terminal;

	_Atomic bool stop_wanted;  /* set by any VP: looked at between engine_run()s */
	_Atomic bool stop_claimed; /* whose cause it is, is settled */
	_Atomic bool reset_wanted;
	enum bus_reset_kind reset_kind;
	_Atomic bool stopped;
	u32 stop_cause; /* STOP_CAUSE_* of event_enums.def */
	u64 stop_status;
	u32 unclaimed_reports, device_reports, msr_reports;
	u32 reported_msr[MACHINE_MSR_REPORTS];
	u32 stale_reports;
	bool told_uncounted;
	struct timer_queue input;		      /* scripted terminal input */
	u64 next_state_ns;			      /* when its full state is emitted again */
	struct symbols *symbols[MACHINE_MAX_SYMBOLS]; /* of desc->symbols; NULL: not loaded */
};

/* Print what the detector of missing invalidations found (machine_stale.c). Vector state is
 * parked. */
struct vtlb_stale_report;
void machine_report_stale(struct machine *m, const struct vtlb_stale_report *r);

/* --- machine_symbols.c; set-up and dumps only --- */

/* Load what desc->symbols names. Return: 0; -errno: said in one line. */
int machine_load_symbols(struct machine *m) __must_check;
void machine_free_symbols(struct machine *m);

/* "name+0x1f" for an address of its own code (level 1), into @buf of SYMBOLS_NAME_BYTES; or
 * NULL. */
const char *machine_symbol(struct machine *m, u64 address, char *buf);

/* A line a file for a recording's readers (trace/model/names.h). */
void machine_list_symbols(struct machine *m, FILE *out);

/* --- machine_counts.c: --count --- */

/* For a new processor, whose vp and track exist. Return: 0, -ENOMEM. */
int machine_create_counts(struct machine *m, struct vcpu *c) __must_check;

/* --- machine_tier.c --- */
/* The tier that --engine asks for; the first processor's code is all processors'. Return: 0,
 * -errno. */
int machine_attach_tier(const struct machine *m, struct vp *vp) __must_check;
/* In one line, why there is no machine: @err of its processors or memory. */
void machine_report_not_built(const struct machine *m, int err);
void machine_free_counts(struct machine *m);

/* All counters as they are, as events; and as lines. */
void host_emit_counts(struct host *h, struct trace_ctx *ctx);
void host_print_counts(struct host *h, FILE *out);

/* --- machine_devices.c --- */

/*
 * The bus and every device of the description. Return: 0; -errno. *@status is changed when a line
 * about it has been printed: the user's fault (EXIT_CODE_USAGE).
 */
int machine_create_devices(struct machine *m, const struct machine_bus_ops *ops,
			   int *status) __must_check;

/* What firmware is to know of the machine, after boot_firmware(). Return: 0, -ENOMEM. */
int machine_configure_firmware(struct machine *m) __must_check;

/* The text screen to where --vga-dump says, if it does; the machine has stopped. */
void machine_dump_screen(struct machine *m);

/* Characters that the user typed or scripted: for the virtio console, else the first serial
 * port. */
size_t machine_input(struct machine *m, const void *bytes, size_t n);

/**
 * machine_create - build a machine and load its image
 * @host: the simulated host, whose clock, hub and options exist
 * @id:   number in the run
 * @serial: characters of the first serial port; borrowed; may be NULL
 * @status: exit status for the program on failure (exit_codes.h); one line has been printed
 * Return: the machine with its boot processor ready to run, or NULL.
 */
struct machine *machine_create(struct host *host, u32 id, const struct machine_desc *desc,
			       struct chardev *serial, struct chardev *debugcon, int *status);
void machine_destroy(struct machine *m);

/* Ask every processor to leave the engine and look at stop_wanted. Any thread. */
void machine_stop(struct machine *m, u32 cause, u64 status);

/*
 * Can nothing wake this machine any more: is every processor halted with interrupts off (and not in
 * a guest that exits on them), shut down, or waiting for a start-up IPI? NMIs come from other
 * processors only. A "no" is final; a "yes" is one if it is given while no worker runs (l0/world.h).
 */
bool machine_is_dead(const struct machine *m);

/* The image into RAM, the processors to where it starts. Return: 0; -errno: said in one line. */
int machine_load_image(struct machine *m) __must_check;

/* A reset is due: every processor leaves the engine and its worker calls machine_reset(). Any
 * thread. */
void machine_want_reset(struct machine *m, enum bus_reset_kind kind);

/* Act on a reset that a device asked for; machine_reset.c. A worker between two instructions. */
void machine_reset(struct machine *m);

/* A processor that may be in the middle of a guest: no guests, no VMX, no requests; it runs on no
 * worker, or the caller's. */
void machine_reset_vcpu(struct vcpu *c);

/* --- machine_hotplug.c: --cpu-hotplug --- */

/* The device, if the description has it; the ACPI hardware and local APICs exist. Return: 0,
 * -errno. */
int machine_create_hotplug(struct machine *m) __must_check;
/* A bit for each processor that is not there. */
u64 machine_absent_cpus(const struct machine *m);
/* For machine_bus_ops. */
void machine_cpu_changed(void *machine, u32 vp, enum cpu_change change);
/* @c was ejected and is on the caller's worker: stop it, if that has not been done. */
void machine_eject(struct vcpu *c);
/* Plug processor @vp, or ask the guest to let it go; a worker. */
void machine_ask_cpu(struct machine *m, u32 vp, bool plug);

/* vm_start or vm_state and all its vCPUs, children and processes, through @w's context. */
void machine_emit_state(struct machine *m, struct worker *w, bool start);
/* The virtual TLB's counters alone; @w's context is about processor 0 afterwards. */
void machine_emit_tlb(struct machine *m, struct worker *w);

/* Sink of every transition: feeds tracking with CR3 loads. */
void machine_feed(void *arg, struct trace_worker *worker, const struct transition *t);

#endif
