package inspect

const (
	vhdFixed   = 2
	vhdDynamic = 3
)

// parseVHD reads the footer, which stands at the end of the file; a dynamic disk
// has a copy of it at the beginning. Either is believed, so both are judged.
func parseVHD(v *view) *finding {
	var f *finding
	offsets := []uint64{0}
	if v.size >= 2*sector {
		offsets = append(offsets, uint64(v.size)-sector)
	}
	for _, offset := range offsets {
		if !v.starts(offset, "conectix") {
			continue
		}
		if f == nil {
			f = &finding{}
		}
		checkVHDFooter(v, f, offset)
	}
	return f
}

func checkVHDFooter(v *view, f *finding, offset uint64) {
	h := v.at(offset, sector)
	if h == nil {
		f.danger("has a cut header")
		return
	}
	f.size(be64(h[48:]))
	switch be32(h[60:]) {
	case vhdFixed:
		if be64(h[48:]) > uint64(v.size) {
			f.danger("claims more bytes than it has")
		}
	case vhdDynamic:
		checkVHDDynamic(v, f, be64(h[16:]))
	default:
		f.danger("is a differencing disk or of an unknown type")
	}
}

func checkVHDDynamic(v *view, f *finding, offset uint64) {
	h := v.at(offset, 1024)
	if h == nil || string(h[:8]) != "cxsparse" {
		f.danger("has no dynamic header")
		return
	}
	if !zero(h[40:56]) || !zero(h[576:768]) {
		f.danger("has a parent")
	}
	entries, block := uint64(be32(h[28:])), uint64(be32(h[32:]))
	if block == 0 || block%sector != 0 || entries*block < uint64(f.virtual) {
		f.danger("has a block table that does not fit its size")
	}
	f.within(v, "block table", be64(h[16:]), entries*4)
}

// Identifiers of a VHDX, as they lie in the file.
const (
	vhdxMetadataRegion = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	vhdxBATRegion      = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
	vhdxFileParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	vhdxDiskSize       = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	vhdxParentLocator  = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"
)

const vhdxMaxEntries = 2047 // of a region or metadata table

// vhdxRegions calls each for the entries of both region tables.
func vhdxRegions(v *view, each func(id string, offset, length uint64)) {
	if !v.starts(0, "vhdxfile") {
		return
	}
	for _, table := range []uint64{192 << 10, 256 << 10} {
		h := v.at(table, 16)
		if h == nil || string(h[:4]) != "regi" {
			continue
		}
		for n := range min(le32(h[8:]), vhdxMaxEntries) {
			e := v.at(table+16+uint64(n)*32, 32)
			if e == nil {
				break
			}
			each(string(e[:16]), le64(e[16:]), uint64(le32(e[24:])))
		}
	}
}

// vhdxMetadata lists the different places where the metadata is said to be.
func vhdxMetadata(v *view) []uint64 {
	var places []uint64
	vhdxRegions(v, func(id string, offset, _ uint64) {
		if id != vhdxMetadataRegion || len(places) > maxWindows {
			return
		}
		for _, p := range places {
			if p == offset {
				return
			}
		}
		places = append(places, offset)
	})
	return places
}

func parseVHDX(v *view) *finding {
	if !v.starts(0, "vhdxfile") {
		return nil
	}
	f := &finding{}
	for _, offset := range []uint64{64 << 10, 128 << 10} {
		h := v.at(offset, 64)
		if h != nil && string(h[:4]) == "head" && !zero(h[48:64]) {
			// Opening the disk would replay the log over everything we see.
			f.danger("was not closed: it has a log to replay")
			break
		}
	}
	tables := 0
	vhdxRegions(v, func(id string, offset, length uint64) {
		if id == vhdxBATRegion {
			tables++
			f.within(v, "block table", offset, length)
		}
	})
	places := vhdxMetadata(v)
	if tables == 0 || len(places) == 0 {
		f.danger("has no region table")
		return f
	}
	if len(places) > 1 {
		f.danger("has two region tables that differ")
	}
	for _, place := range places {
		checkVHDXMetadata(v, f, place)
	}
	return f
}

func checkVHDXMetadata(v *view, f *finding, place uint64) {
	h := v.at(place, 32)
	if h == nil || string(h[:8]) != "metadata" {
		f.danger("has its metadata outside of the file")
		return
	}
	sized, described := false, false
	for n := range min(uint32(h[10])|uint32(h[11])<<8, vhdxMaxEntries) {
		e := v.at(place+32+uint64(n)*32, 32)
		if e == nil {
			f.danger("has a cut metadata table")
			return
		}
		item := v.at(place+uint64(le32(e[16:])), 8)
		switch string(e[:16]) {
		case vhdxParentLocator:
			f.danger("has a parent")
		case vhdxFileParameters:
			const hasParent = 2
			if item == nil || le32(item[4:])&hasParent != 0 {
				f.danger("is a differencing disk")
			}
			described = true
		case vhdxDiskSize:
			if item == nil {
				f.danger("has its size at a wrong place")
				continue
			}
			f.size(le64(item))
			sized = true
		}
	}
	if !sized || !described {
		f.danger("lacks metadata")
	}
}
