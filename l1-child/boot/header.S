/*
 * Multiboot 1 header with address fields, so that a loader that does not know ELF64 (or any ELF)
 * loads the image by the header and enters it at entry32.
 */
#define MULTIBOOT_MAGIC		0x1badb002
#define MULTIBOOT_MEMORY_INFO	(1 << 1)
#define MULTIBOOT_ADDRESSES	(1 << 16)
#define MULTIBOOT_FLAGS		(MULTIBOOT_MEMORY_INFO | MULTIBOOT_ADDRESSES)

	.section .multiboot, "a"
	.align	4
header:
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.long	header
	.long	image_start
	.long	image_data_end
	.long	image_end
	.long	entry32

	.section .note.GNU-stack, "", @progbits
