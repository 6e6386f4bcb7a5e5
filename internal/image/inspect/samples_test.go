package inspect

import (
	"encoding/binary"
	"strings"
)

// The smallest images of each format that are accepted, made by hand, so that
// tests can bend single fields of them.

var (
	putBE16 = binary.BigEndian.PutUint16
	putBE32 = binary.BigEndian.PutUint32
	putBE64 = binary.BigEndian.PutUint64
	putLE16 = binary.LittleEndian.PutUint16
	putLE32 = binary.LittleEndian.PutUint32
	putLE64 = binary.LittleEndian.PutUint64
)

const sampleSize = 64 << 20

func sampleQCOW2() []byte {
	b := make([]byte, 3<<16+8)
	copy(b, "QFI\xfb")
	putBE32(b[4:], 3)
	putBE32(b[20:], 16)
	putBE64(b[24:], sampleSize)
	putBE32(b[36:], 1)
	putBE64(b[40:], 3<<16)
	putBE64(b[48:], 1<<16)
	putBE32(b[56:], 1)
	putBE32(b[96:], 4)
	putBE32(b[100:], 104)
	return b
}

func sampleQED() []byte {
	b := make([]byte, 3<<16)
	copy(b, "QED\x00")
	putLE32(b[4:], 65536)
	putLE32(b[8:], 4)
	putLE32(b[12:], 1)
	putLE64(b[40:], 65536)
	putLE64(b[48:], sampleSize)
	return b
}

const sampleDescriptor = `# Disk DescriptorFile
version=1
CID=7d0cc5ae
parentCID=ffffffff
createType="monolithicSparse"

RW 131072 SPARSE "disk.vmdk"

ddb.adapterType = "ide"
`

// sampleVMDK has the given descriptor, or the good one.
func sampleVMDK(descriptor string) []byte {
	if descriptor == "" {
		descriptor = sampleDescriptor
	}
	b := make([]byte, 64<<10)
	copy(b, "KDMV")
	putLE32(b[4:], 1)
	putLE32(b[8:], 3)
	putLE64(b[12:], sampleSize/512)
	putLE64(b[20:], 128)
	putLE64(b[28:], 1)
	putLE64(b[36:], 20)
	putLE32(b[44:], 512)
	putLE64(b[48:], 21)
	putLE64(b[56:], 26)
	putLE64(b[64:], 128)
	copy(b[512:], descriptor)
	return b
}

// sampleStreamVMDK keeps its grain directory's place in a footer.
func sampleStreamVMDK() []byte {
	b := sampleVMDK(strings.Replace(sampleDescriptor, "monolithicSparse", "streamOptimized", 1))
	footer := make([]byte, 3*512)
	putLE32(footer[12:], vmdkFooter)
	copy(footer[512:1024], b[:512])
	putLE64(b[56:], vmdkAtEnd)
	return append(b, footer...)
}

func vhdFooter(kind uint32) []byte {
	b := make([]byte, 512)
	copy(b, "conectix")
	putBE64(b[16:], 512)
	putBE64(b[48:], sampleSize)
	putBE32(b[60:], kind)
	return b
}

func sampleVHD() []byte {
	b := append(vhdFooter(vhdDynamic), make([]byte, 1024)...)
	h := b[512:]
	copy(h, "cxsparse")
	putBE64(h[16:], 1536)
	putBE32(h[28:], sampleSize>>21)
	putBE32(h[32:], 2<<20)
	b = append(b, make([]byte, 512)...)
	return append(b, vhdFooter(vhdDynamic)...)
}

func sampleFixedVHD() []byte {
	b := vhdFooter(vhdFixed)
	putBE64(b[48:], 1<<20)
	return append(make([]byte, 1<<20), b...)
}

func sampleVHDX() []byte {
	b := make([]byte, 4<<20)
	copy(b, "vhdxfile")
	copy(b[64<<10:], "head")
	copy(b[128<<10:], "head")
	for _, table := range []int{192 << 10, 256 << 10} {
		t := b[table:]
		copy(t, "regi")
		putLE32(t[8:], 2)
		copy(t[16:], vhdxMetadataRegion)
		putLE64(t[32:], 2<<20)
		putLE32(t[40:], 1<<20)
		copy(t[48:], vhdxBATRegion)
		putLE64(t[64:], 3<<20)
		putLE32(t[72:], 1<<20)
	}
	m := b[2<<20:]
	copy(m, "metadata")
	putLE16(m[10:], 2)
	copy(m[32:], vhdxFileParameters)
	putLE32(m[48:], 64<<10)
	putLE32(m[52:], 8)
	copy(m[64:], vhdxDiskSize)
	putLE32(m[80:], 64<<10+8)
	putLE32(m[84:], 8)
	putLE32(m[64<<10:], 8<<20)
	putLE64(m[64<<10+8:], sampleSize)
	return b
}

func sampleVDI() []byte {
	b := make([]byte, 1024)
	copy(b, "<<< disk image >>>")
	copy(b[64:], "\x7f\x10\xda\xbe")
	putLE32(b[76:], 1)
	putLE32(b[340:], 512)
	putLE64(b[368:], sampleSize)
	putLE32(b[376:], 1<<20)
	putLE32(b[384:], sampleSize>>20)
	return b
}

func sampleLUKS() []byte {
	b := make([]byte, 4096)
	copy(b, "LUKS\xba\xbe")
	putBE16(b[6:], 1)
	putBE32(b[104:], 4)
	return b
}

func samplePloop() []byte {
	b := make([]byte, 1<<20)
	copy(b, "WithouFreSpacExt")
	putLE32(b[28:], 2048)
	putLE32(b[32:], 64)
	putLE64(b[36:], sampleSize/512)
	return b
}

func sampleISO() []byte {
	b := make([]byte, 40<<10)
	b[16*2048] = 1
	copy(b[16*2048+1:], "CD001")
	return b
}

func sampleMBR() []byte {
	b := make([]byte, 4096)
	b[446] = 0x80
	b[450] = 0x83
	b[510], b[511] = 0x55, 0xaa
	return b
}

// samples are all of them with the format that each has.
func samples() map[string][]byte {
	return map[string][]byte{
		"qcow2":      sampleQCOW2(),
		"qed":        sampleQED(),
		"vmdk":       sampleVMDK(""),
		"vmdk/s":     sampleStreamVMDK(),
		"vhd":        sampleVHD(),
		"vhd/fixed":  sampleFixedVHD(),
		"vhdx":       sampleVHDX(),
		"vdi":        sampleVDI(),
		"luks":       sampleLUKS(),
		"ploop":      samplePloop(),
		"iso":        sampleISO(),
		"raw/mbr":    sampleMBR(),
		"raw/random": []byte("any bytes at all"),
		"raw/empty":  nil,
	}
}
