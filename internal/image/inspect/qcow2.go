package inspect

// Bits of a qcow2's incompatible features.
const (
	qcowDirty       = 1 << 0 // was not closed; harmless to read
	qcowCorrupt     = 1 << 1
	qcowDataFile    = 1 << 2
	qcowCompression = 1 << 3
	qcowExtendedL2  = 1 << 4
	qcowKnown       = qcowDirty | qcowCorrupt | qcowDataFile | qcowCompression | qcowExtendedL2
)

// Types of qcow2 header extensions.
const (
	qcowExtEnd      = 0
	qcowExtDataFile = 0x44415441
	qcowExtCrypto   = 0x0537be77
)

const (
	qcowMaxL1        = 32 << 20 / 8 // entries, as QEMU limits it
	qcowMaxSnapshots = 65536
)

// parseQCOW2 reads versions 2 and 3.
func parseQCOW2(v *view) *finding {
	if !v.starts(0, "QFI\xfb") {
		return nil
	}
	h := v.at(4, 4)
	if h != nil && be32(h) == 1 {
		return nil // parseQCOW's
	}
	f := &finding{}
	h = v.at(0, 72)
	if h == nil {
		f.danger("has a cut header")
		return f
	}
	version := be32(h[4:])
	if version != 2 && version != 3 {
		f.danger("has an unknown version %d", version)
		return f
	}
	f.size(be64(h[24:]))
	if be64(h[8:]) != 0 || be32(h[16:]) != 0 {
		f.danger("has a backing file")
	}
	if be32(h[32:]) != 0 {
		f.danger("is encrypted")
	}
	clusterBits := be32(h[20:])
	if clusterBits < 9 || clusterBits > 21 {
		f.danger("has clusters of a wrong size")
		return f
	}

	headerLength := uint64(72)
	var features uint64
	if version == 3 {
		h = v.at(0, 104)
		if h == nil {
			f.danger("has a cut header")
			return f
		}
		features = be64(h[72:])
		headerLength = uint64(be32(h[100:]))
		if be32(h[96:]) > 6 {
			f.danger("has reference counts of a wrong width")
		}
	}
	checkQCOWFeatures(f, features)
	if headerLength < 72 || version == 3 && headerLength < 104 || headerLength > 1<<clusterBits || headerLength%8 != 0 {
		f.danger("has a header of a wrong length")
		return f
	}
	checkQCOWExtensions(v, f, headerLength, 1<<clusterBits)
	checkQCOWTables(v, f, h, clusterBits, features)
	return f
}

func checkQCOWFeatures(f *finding, features uint64) {
	if features&qcowDataFile != 0 {
		f.danger("has an external data file")
	}
	if features&qcowCorrupt != 0 {
		f.danger("is marked as corrupt")
	}
	if features&^qcowKnown != 0 {
		f.danger("has unknown incompatible features %#x", features&^qcowKnown)
	}
}

// checkQCOWExtensions walks the header extensions, which lie between the header
// and the end of the first cluster.
func checkQCOWExtensions(v *view, f *finding, offset, end uint64) {
	for offset+8 <= end {
		if offset >= uint64(v.size) {
			return
		}
		e := v.at(offset, 8)
		if e == nil {
			f.danger("has header extensions that are too long")
			return
		}
		kind, length := be32(e), uint64(be32(e[4:]))
		offset += 8
		switch kind {
		case qcowExtEnd:
			return
		case qcowExtDataFile:
			f.danger("names an external data file")
		case qcowExtCrypto:
			f.danger("is encrypted")
		}
		if length > end-offset {
			f.danger("has a header extension of a wrong length")
			return
		}
		offset += (length + 7) &^ 7
	}
}

// checkQCOWTables checks that the tables are as large as the disk needs them
// and inside the file: a small file cannot claim to be a huge disk.
func checkQCOWTables(v *view, f *finding, h []byte, clusterBits uint32, features uint64) {
	entryBits := uint32(3)
	if features&qcowExtendedL2 != 0 {
		entryBits = 4
	}
	cluster := uint64(1) << clusterBits
	l1Size, l1Offset := uint64(be32(h[36:])), be64(h[40:])
	need := ceilDiv(be64(h[24:]), 1<<(clusterBits+clusterBits-entryBits))
	if l1Size > qcowMaxL1 || l1Size < need {
		f.danger("has an L1 table of a wrong size")
	}
	if l1Size > 0 && (l1Offset == 0 || l1Offset%cluster != 0) {
		f.danger("has its L1 table at a wrong place")
	}
	f.within(v, "L1 table", l1Offset, l1Size*8)

	refOffset, refClusters := be64(h[48:]), uint64(be32(h[56:]))
	if refOffset == 0 || refOffset%cluster != 0 || refClusters > 8<<20>>clusterBits+1 {
		f.danger("has a refcount table of a wrong size or place")
	}
	f.within(v, "refcount table", refOffset, 0)

	snapshots := be32(h[60:])
	if snapshots > qcowMaxSnapshots {
		f.danger("has too many snapshots")
	}
	if snapshots > 0 {
		f.within(v, "snapshot table", be64(h[64:]), uint64(snapshots)*40)
	}
}

// parseQCOW reads version 1, which nobody makes any more.
func parseQCOW(v *view) *finding {
	if !v.starts(0, "QFI\xfb\x00\x00\x00\x01") {
		return nil
	}
	f := &finding{}
	h := v.at(0, 48)
	if h == nil {
		f.danger("has a cut header")
		return f
	}
	if be64(h[8:]) != 0 || be32(h[16:]) != 0 {
		f.danger("has a backing file")
	}
	f.size(be64(h[24:]))
	return f
}

// parseQED reads QED, which is recognised to be refused: no disk_format names it.
func parseQED(v *view) *finding {
	if !v.starts(0, "QED\x00") {
		return nil
	}
	f := &finding{}
	h := v.at(0, 64)
	if h == nil {
		f.danger("has a cut header")
		return f
	}
	const backing = 1
	if le64(h[16:])&backing != 0 || le32(h[56:]) != 0 || le32(h[60:]) != 0 {
		f.danger("has a backing file")
	}
	f.size(le64(h[48:]))
	f.within(v, "L1 table", le64(h[40:]), 8)
	return f
}
