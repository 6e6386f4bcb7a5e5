package inspect

// parseVDI reads VirtualBox's format.
func parseVDI(v *view) *finding {
	if !v.starts(64, "\x7f\x10\xda\xbe") {
		return nil
	}
	f := &finding{}
	h := v.at(0, 456)
	if h == nil {
		f.danger("has a cut header")
		return f
	}
	f.size(le64(h[368:]))
	const dynamic, fixed = 1, 2
	kind := le32(h[76:])
	if kind != dynamic && kind != fixed {
		f.danger("is a differencing disk or of an unknown type")
	}
	if !zero(h[424:456]) {
		f.danger("has a parent")
	}
	blocks, block := uint64(le32(h[384:])), uint64(le32(h[376:]))
	if block == 0 || block > 1<<30 || blocks*block < uint64(f.virtual) {
		f.danger("has a block map that does not fit its size")
	}
	f.within(v, "block map", uint64(le32(h[340:])), blocks*4)
	return f
}

// parseLUKS reads an encrypted disk. It is no danger; it is not raw either.
func parseLUKS(v *view) *finding {
	if !v.starts(0, "LUKS\xba\xbe") {
		return nil
	}
	f := &finding{virtual: v.size}
	h := v.at(0, 108)
	if h == nil {
		f.danger("has a cut header")
		return f
	}
	if be16(h[6:]) == 1 {
		payload := uint64(be32(h[104:])) * sector
		f.within(v, "payload", payload, 0)
		if payload <= uint64(v.size) {
			f.virtual = v.size - int64(payload)
		}
	}
	return f
}

// parsePloop reads the disk of Parallels and Virtuozzo.
func parsePloop(v *view) *finding {
	if !v.starts(0, "WithoutFreeSpace") && !v.starts(0, "WithouFreSpacExt") {
		return nil
	}
	f := &finding{}
	h := v.at(0, 64)
	if h == nil {
		f.danger("has a cut header")
		return f
	}
	sectors := le64(h[36:])
	if sectors > MaxVirtualSize/sector {
		sectors = MaxVirtualSize/sector + 1
	}
	f.size(sectors * sector)
	tracks, entries := uint64(le32(h[28:])), uint64(le32(h[32:]))
	if tracks == 0 || tracks > 1<<31/sector || entries < ceilDiv(sectors, tracks) {
		f.danger("has a block table that does not fit its size")
	}
	f.within(v, "block table", 64, entries*4)
	return f
}

// parseISO reads the volume descriptor of a CD or DVD. Many can be booted from a
// stick too and begin with a partition table; that is the same disk, no trick.
func parseISO(v *view) *finding {
	const first = 16 * 2048
	if !v.starts(first+1, "CD001") && !v.starts(first+1, "BEA01") {
		return nil
	}
	return &finding{virtual: v.size}
}

// partitions recognises the partition table of a raw disk.
func partitions(v *view) string {
	if v.starts(sector, "EFI PART") || v.starts(4096, "EFI PART") {
		return "gpt"
	}
	mbr := v.at(0, sector)
	if mbr == nil || mbr[510] != 0x55 || mbr[511] != 0xaa {
		return ""
	}
	used := false
	for i := range 4 {
		entry := mbr[446+16*i:][:16]
		if entry[0] != 0 && entry[0] != 0x80 {
			return ""
		}
		if entry[4] == 0xee {
			return "gpt"
		}
		used = used || entry[4] != 0
	}
	if !used {
		return ""
	}
	return "mbr"
}
