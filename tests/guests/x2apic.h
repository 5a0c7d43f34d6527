/* x2apic.h - how guests start their other processors (SDM 3A "Extended XAPIC (x2APIC)"). */
#ifndef TESTS_GUESTS_X2APIC_H
#define TESTS_GUESTS_X2APIC_H

#include "l0/arch/msr.h"

#define MSR_X2APIC_ICR 0x830u
#define ICR_INIT_OTHERS 0xc4500ull
#define ICR_SIPI_OTHERS 0xc4600ull

#endif
