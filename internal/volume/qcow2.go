package volume

import (
	"encoding/binary"
	"io"

	"nacre/internal/nbd"
)

// A qcow2 image is written as a stream, since what a disk holds is known before
// its bytes are read: header, tables, then the clusters that hold something, one
// behind the other.

const (
	clusterBits = 16
	cluster     = 1 << clusterBits
	perTable    = cluster / 8 // entries of a table of addresses
	perRefs     = cluster / 2 // clusters whose uses one block counts
	used        = 1 << 63     // of an address: the cluster is used once
)

// qcow2Layout says where everything of an image is, in clusters.
type qcow2Layout struct {
	size   int64
	data   []int64 // numbers of the disk's clusters that hold something
	tables []int64 // numbers of the second tables that name them
	top    int64   // clusters of the first table
	blocks int64   // of counts
	counts int64   // clusters of the table of those
}

func pieces(n, size int64) int64 { return (n + size - 1) / size }

// layout plans an image of a disk.
func layout(size int64, extents []nbd.Extent) qcow2Layout {
	l := qcow2Layout{size: size}
	for _, e := range extents {
		if e.Zero {
			continue
		}
		for n := e.Offset >> clusterBits; n<<clusterBits < e.Offset+e.Length; n++ {
			if len(l.data) == 0 || l.data[len(l.data)-1] < n {
				l.data = append(l.data, n)
			}
		}
	}
	for _, n := range l.data {
		if len(l.tables) == 0 || l.tables[len(l.tables)-1] != n/perTable {
			l.tables = append(l.tables, n/perTable)
		}
	}
	l.top = pieces(pieces(pieces(size, cluster), perTable), perTable)
	for {
		blocks := pieces(l.clusters(), perRefs)
		counts := pieces(blocks, perTable)
		if blocks == l.blocks && counts == l.counts {
			return l
		}
		l.blocks, l.counts = blocks, counts
	}
}

func (l qcow2Layout) clusters() int64 {
	return 1 + l.counts + l.blocks + l.top + int64(len(l.tables)) + int64(len(l.data))
}

// write writes the image of the disk.
func (l qcow2Layout) write(w io.Writer, disk io.ReaderAt) error {
	firstBlock := 1 + l.counts
	firstTop := firstBlock + l.blocks
	firstTable := firstTop + l.top
	firstData := firstTable + int64(len(l.tables))

	header := make([]byte, 0, cluster)
	header = append(header, "QFI\xfb"...)
	header = binary.BigEndian.AppendUint32(header, 2)
	header = append(header, make([]byte, 12)...) // no backing file
	header = binary.BigEndian.AppendUint32(header, clusterBits)
	header = binary.BigEndian.AppendUint64(header, uint64(l.size))
	header = binary.BigEndian.AppendUint32(header, 0) // not encrypted
	header = binary.BigEndian.AppendUint32(header, uint32(pieces(pieces(l.size, cluster), perTable)))
	header = binary.BigEndian.AppendUint64(header, uint64(firstTop)<<clusterBits)
	header = binary.BigEndian.AppendUint64(header, 1<<clusterBits)
	header = binary.BigEndian.AppendUint32(header, uint32(l.counts))
	_, err := w.Write(append(header, make([]byte, cluster-len(header))...))
	if err == nil {
		err = addresses(w, l.counts, l.blocks, func(n int64) uint64 { return uint64(firstBlock+n) << clusterBits })
	}
	if err != nil {
		return err
	}
	counts := make([]byte, 0, l.blocks*cluster)
	for range l.clusters() {
		counts = append(counts, 0, 1)
	}
	_, err = w.Write(append(counts, make([]byte, l.blocks*cluster-int64(len(counts)))...))
	if err != nil {
		return err
	}
	place := map[int64]int64{}
	for i, n := range l.tables {
		place[n] = firstTable + int64(i)
	}
	err = addresses(w, l.top, l.top*perTable, func(n int64) uint64 {
		if place[n] == 0 {
			return 0
		}
		return uint64(place[n])<<clusterBits | used
	})
	if err != nil {
		return err
	}
	next := 0
	for _, table := range l.tables {
		err = addresses(w, 1, perTable, func(n int64) uint64 {
			if next == len(l.data) || l.data[next] != table*perTable+n {
				return 0
			}
			next++
			return uint64(firstData+int64(next)-1)<<clusterBits | used
		})
		if err != nil {
			return err
		}
	}
	bytes := make([]byte, cluster)
	for _, n := range l.data {
		at := n << clusterBits
		clear(bytes)
		_, err = disk.ReadAt(bytes[:min(cluster, l.size-at)], at)
		if err == nil {
			_, err = w.Write(bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addresses writes tables of as many clusters with as many addresses.
func addresses(w io.Writer, clusters, n int64, address func(n int64) uint64) error {
	table := make([]byte, 0, clusters*cluster)
	for i := range n {
		table = binary.BigEndian.AppendUint64(table, address(i))
	}
	_, err := w.Write(append(table, make([]byte, clusters*cluster-int64(len(table)))...))
	return err
}
