/* Where things are in the memory of the L2 and of the L3 of vmxdeep.elf. For C and assembly. */
#ifndef TESTS_NESTED_DEEP_DEEP_H
#define TESTS_NESTED_DEEP_DEEP_H

/* Guest-physical of the L2, in the window that its VMM gives it. */
#define L2_TABLES 0x1000 /* of the L2: one to one, 2 MiB */
#define L2_REGION 0x5000 /* its VMCS */
#define L2_COUNT 0x6000	 /* exits of its L3 that it saw */
#define L2_BAD_AT 0x6008 /* at this count it spoils its VMCS; 0: never */
#define L2_CODE 0x7000
#define L2_STACK 0x9000
#define L3_EPT 0xa000	 /* four pages of tables: what the L2 gives its L3 */
#define L2_OF_L3 0x20000 /* where the L3's memory begins in the L2's */

/* Guest-physical of the L3; page n of it is page L3_PAGES - 1 - n from L2_OF_L3 on. */
#define L3_PAGES 16
#define L3_TABLES 0x1000 /* 0x1000 to 0x3fff; linear pages are two higher than physical ones */
#define L3_PHYSICAL_CODE 0x5000
#define L3_PHYSICAL_CELL 0x6000
#define L3_SHIFT 0x2000
#define L3_CODE (L3_PHYSICAL_CODE + L3_SHIFT)
#define L3_CELL (L3_PHYSICAL_CELL + L3_SHIFT)
#define L3_STACK 0xa000

#define L2_MAGIC 0x4c324c324c324c32
#define L3_MAGIC 0x4c334c334c334c33

#endif
