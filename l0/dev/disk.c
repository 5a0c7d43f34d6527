/* disk.c - see disk.h */
#include "l0/dev/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZEROES_BYTES (64 * KIB)

struct disk {
	int fd;
	u64 sectors;
	bool read_only;
};

static const char zeroes[ZEROES_BYTES];

/* Return: NULL or what is wrong with the open file; *@bytes its size. */
static const char *examine(int fd, u64 *bytes)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return "is no file or block device";
	end = lseek(fd, 0, SEEK_END);
	if (end < (off_t)DISK_SECTOR)
		return "is shorter than a sector of 512 bytes";
	*bytes = (u64)end;
	return NULL;
}

struct disk *disk_open(const char *path, bool read_only, char *err)
{
	int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct disk *d = NULL;
	u64 bytes = 0;

	if (fd < 0) {
		bool may_read =
			!read_only && (errno == EACCES || errno == EROFS) && !access(path, R_OK);

		snprintf(err, DISK_ERR_BYTES, "%s: %s%s", path, strerror(errno),
			 may_read ? "; it can be read: add ,ro" : "");
		return NULL;
	}
	const char *bad = examine(fd, &bytes);

	if (!bad && flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB))
		bad = "is in use by another disk or program; a disk that several read needs ,ro in "
		      "each";
	if (!bad && !(d = calloc(1, sizeof(*d))))
		bad = "out of host memory";
	if (bad) {
		snprintf(err, DISK_ERR_BYTES, "%s: %s", path, bad);
		close(fd);
		return NULL;
	}
	d->fd = fd;
	d->sectors = bytes / DISK_SECTOR;
	d->read_only = read_only;
	return d;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	close(d->fd);
	free(d);
}

u64 disk_sectors(const struct disk *d)
{
	return d->sectors;
}

bool disk_is_read_only(const struct disk *d)
{
	return d->read_only;
}

/* The first @done bytes of *@iov are over. Return: how many entries of *@n are left. */
static u32 advance(struct iovec **iov, u32 n, size_t done)
{
	while (n && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		(*iov)++;
		n--;
	}
	if (n) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
	return n;
}

typedef ssize_t (*transfer_fn)(int fd, const struct iovec *iov, int n, off_t at);

static int transfer(struct disk *d, transfer_fn fn, u64 at, struct iovec *iov, u32 n)
{
	n = advance(&iov, n, 0);
	while (n) {
		ssize_t done = fn(d->fd, iov, (int)n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		at += (u64)done;
		n = advance(&iov, n, (size_t)done);
	}
	return 0;
}

int disk_read(struct disk *d, u64 at, struct iovec *iov, u32 n)
{
	return transfer(d, preadv, at, iov, n);
}

int disk_write(struct disk *d, u64 at, struct iovec *iov, u32 n)
{
	return transfer(d, pwritev, at, iov, n);
}

int disk_flush(struct disk *d)
{
	return fdatasync(d->fd) ? -errno : 0;
}

int disk_discard(struct disk *d, u64 at, u64 bytes)
{
	if (!fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes))
		return 0;
	return errno == EOPNOTSUPP || errno == ENODEV || errno == ENOSYS ? 0 : -errno;
}

int disk_write_zeroes(struct disk *d, u64 at, u64 bytes)
{
	if (!fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes))
		return 0;
	while (bytes) {
		u64 part = bytes < ZEROES_BYTES ? bytes : ZEROES_BYTES;
		struct iovec iov = {(void *)zeroes, part};
		int err = transfer(d, pwritev, at, &iov, 1);

		if (err)
			return err;
		at += part;
		bytes -= part;
	}
	return 0;
}
