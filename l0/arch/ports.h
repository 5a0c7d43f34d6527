/*
 * I/O port numbers of the simulated machine: the legacy devices at their PC addresses, the debug
 * ports, and the one port that is this project's own. Constants only, no code: the device models,
 * the freestanding child VMM and assembly files include it, so it must stay plain #defines.
 */
#ifndef L0_ARCH_PORTS_H
#define L0_ARCH_PORTS_H

/* 8259 interrupt controllers */
#define PORT_PIC1_CMD 0x20
#define PORT_PIC1_DATA 0x21
#define PORT_PIC2_CMD 0xa0
#define PORT_PIC2_DATA 0xa1
#define PORT_PIC1_ELCR 0x4d0
#define PORT_PIC2_ELCR 0x4d1

/* 8254 timer; the gate and output of channel 2 are in the system control port */
#define PORT_PIT_CH0 0x40
#define PORT_PIT_CH1 0x41
#define PORT_PIT_CH2 0x42
#define PORT_PIT_CMD 0x43
#define PORT_SYSTEM_B 0x61
#define SYSTEM_B_GATE2 0x01
#define SYSTEM_B_SPEAKER 0x02
#define SYSTEM_B_OUT2 0x20
#define PIT_HZ 1193182

/* keyboard controller, CMOS clock, system control A, power-on self test */
#define PORT_KBD_DATA 0x60
#define PORT_KBD_CMD 0x64
#define PORT_CMOS_INDEX 0x70
#define PORT_CMOS_DATA 0x71
#define PORT_POST 0x80
#define PORT_SYSTEM_A 0x92
#define PORT_RESET 0xcf9

/* ACPI fixed hardware: PM1a event and control blocks and the PM timer, by offset from the base */
#define PORT_ACPI_PM 0x600
#define ACPI_PM_EVENT 0	  /* status (16 bits), enable (16 bits) */
#define ACPI_PM_CONTROL 4 /* 16 bits */
#define ACPI_PM_TIMER 8	  /* 32 bits */
#define ACPI_PM_HZ 3579545
#define ACPI_PM_GPE 0x20 /* status (16 bits), enable (16 bits); only where CPU hot-plug is */
#define ACPI_GPE_BYTES 4
#define ACPI_GPE_CPU 2	  /* a processor is to come or go */
#define ACPI_SLP_TYP_S5 5 /* what the DSDT's \_S5 says */

/* CPU hot-plug, by offset from the base (l0/dev/cpu_hotplug.h) */
#define PORT_CPU_HOTPLUG 0xcd8
#define CPU_HOTPLUG_BYTES 12
#define CPU_HOTPLUG_SELECT 0  /* write, 32 bits: whom the others are about */
#define CPU_HOTPLUG_FLAGS 4   /* 8 bits */
#define CPU_HOTPLUG_COMMAND 5 /* 8 bits */
#define CPU_HOTPLUG_DATA 8    /* 32 bits */

/* 16550 serial ports: eight registers from the base */
#define PORT_COM1 0x3f8
#define PORT_COM2 0x2f8
#define UART_DATA 0 /* RBR/THR; divisor low while LCR.DLAB */
#define UART_IER 1  /* divisor high while LCR.DLAB */
#define UART_FCR 2  /* write; IIR when read */
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCRATCH 7
#define UART_LCR_8N1 0x03
#define UART_LCR_DLAB 0x80
#define UART_LSR_THRE 0x20

/* Debug console: each byte written is shown at once; reads give 0xe9. */
#define PORT_DEBUG_CONSOLE 0xe9

/* Debug exit: writing v ends the machine with status (v << 1) | 1. */
#define PORT_DEBUG_EXIT 0xf4

/*
 * Deadline port: a 32-bit write reports one of a guest's own counts. It goes to the trace
 * (guest_deadline) only: nothing in L0 that schedules sees it. Other widths and reads: ignored, all
 * ones. Layout of the value:
 *   bits  3:0   what is counted, DEADLINE_KIND_*
 *   bits  7:4   which guest of the child it is about (a child VMM that forwards the write of one of
 *               its guests fills in that guest's number; a guest writes 0)
 *   bits 31:8   the count since the guest's start, modulo 2^24
 */
#define PORT_DEADLINE 0x5d0
#define DEADLINE_KIND_MISSES 1	/* periods whose work was late or not done */
#define DEADLINE_KIND_JOBS 2	/* periods that are over, met or missed */
#define DEADLINE_KIND_LATE_US 3 /* worst lateness yet, in microseconds */
#define DEADLINE_KIND_WORK 4	/* units of work done by a guest without deadlines */
#define DEADLINE_KIND_SHIFT 0
#define DEADLINE_KIND_MASK 0xf
#define DEADLINE_GUEST_SHIFT 4
#define DEADLINE_GUEST_MASK 0xf
#define DEADLINE_COUNT_SHIFT 8

#endif
