package main

import "golang.org/x/sys/unix"

// fileSystemOf names the kind of file system that a directory lies on, where it
// is one to know of; "" for all others.
func fileSystemOf(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	return map[uint32]string{
		unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
		unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb", unix.SMB2_SUPER_MAGIC: "smb", unix.CIFS_SUPER_MAGIC: "cifs",
	}[uint32(st.Type)]
}

// clockSynchronised reports whether the kernel knows its clock to be set by others
// (adjtimex(2): TIME_ERROR), if that can be asked.
func clockSynchronised() (synchronised, known bool) {
	state, err := unix.Adjtimex(&unix.Timex{})
	return state != unix.TIME_ERROR, err == nil
}
