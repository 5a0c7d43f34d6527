/*
 * disk.h - the host's side of a virtual disk: a raw file or block device
 *
 * Read and written by pread and pwrite straight between the file and guest RAM, synchronously, by
 * the worker that serves the device. A file that two machines would write is refused (flock). What
 * fails while the machine runs is an I/O error to the guest; the device says the first one to the
 * user.
 */
#ifndef L0_DEV_DISK_H
#define L0_DEV_DISK_H

#include <sys/uio.h>

#include "l0/base/types.h"

#define DISK_SECTOR 512u
#define DISK_ERR_BYTES 512

struct disk;

/**
 * disk_open - @err (DISK_ERR_BYTES) gets one line when NULL is returned: no such file, not a file
 * or block device, not writable, in use, shorter than a sector
 */
struct disk *disk_open(const char *path, bool read_only, char *err) __must_check;
void disk_close(struct disk *d); /* NULL is fine */

u64 disk_sectors(const struct disk *d);
bool disk_is_read_only(const struct disk *d);

/*
 * Transfer all of @iov from byte @at on; @iov is used up. Return: 0; -errno; -EIO where the file
 * ends early (it was cut while the machine ran).
 */
int disk_read(struct disk *d, u64 at, struct iovec *iov, u32 n);
int disk_write(struct disk *d, u64 at, struct iovec *iov, u32 n);
int disk_flush(struct disk *d);

/* Free the space (may do nothing), or make it read as zeros. */
int disk_discard(struct disk *d, u64 at, u64 bytes);
int disk_write_zeroes(struct disk *d, u64 at, u64 bytes);

#endif
