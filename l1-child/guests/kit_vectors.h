/* Numbers that a guest's C and assembly share. */
#ifndef L1_CHILD_GUESTS_KIT_VECTORS_H
#define L1_CHILD_GUESTS_KIT_VECTORS_H

#define KIT_VECTORS 64 /* stubs that exist */

/* The guests' GDT. The user segments are in the order that SYSRET wants. */
#define KIT_SEL_CODE 0x08
#define KIT_SEL_DATA 0x10
#define KIT_SEL_UDATA 0x18
#define KIT_SEL_UCODE 0x20
#define KIT_SEL_TSS 0x28
#define KIT_SEL_RPL3 3

#endif
