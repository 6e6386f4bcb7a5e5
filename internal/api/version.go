package api

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"nacre/internal/errs"
)

// Version is a microversion. The zero value is none.
type Version int

// V makes the microversion major.minor.
func V(major, minor int) Version { return Version(major*1000 + minor) }

// String spells the version as 2.78.
func (v Version) String() string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d", v/1000, v%1000)
}

// within tells whether the version is in the closed range; zero ends are open.
func (v Version) within(since, until Version) bool {
	return v >= since && (until == 0 || v <= until)
}

// ParseVersion reads "2.78".
func ParseVersion(text string) (Version, bool) {
	if !versionForm.MatchString(text) {
		return 0, false
	}
	major, minor, _ := strings.Cut(text, ".")
	a, err := strconv.Atoi(major)
	if err != nil {
		return 0, false
	}
	b, err := strconv.Atoi(minor)
	if err != nil {
		return 0, false
	}
	return Version(a*1000 + min(b, 999)), true
}

var twoNumbers = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

var versionForm = regexp.MustCompile(`^[1-9][0-9]{0,3}\.(0|[1-9][0-9]{0,5})$`)

// Microversions is how an API negotiates.
type Microversions struct {
	Word   string // in OpenStack-API-Version: compute, volume, placement
	Legacy string // an older header with the bare version; "" for none
	Min    Version
	Max    Version
	// AnyNumbers takes any two numbers for a version, which may be one that is not
	// supported; elsewhere 0.5 is none.
	AnyNumbers bool
}

// negotiate finds the microversion of the call and writes the headers that
// tell it. No header is the minimum.
func (c *Call) negotiate() error {
	m := c.service.Versions
	if m == nil {
		return nil
	}
	c.Version = m.Min
	vary := "OpenStack-API-Version"
	if m.Legacy != "" {
		vary += ", " + m.Legacy
	}
	c.header.Set("Vary", vary)
	asked := m.asked(c)
	var err error
	switch v, ok := ParseVersion(asked); {
	case asked == "":
	case asked == "latest":
		c.Version = m.Max
	case !ok && m.AnyNumbers && !twoNumbers.MatchString(asked):
		err = errs.BadRequestf("invalid version string: %s", asked)
	case !ok && !m.AnyNumbers:
		err = errs.BadRequestf("API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", asked)
	case (v < m.Min || v > m.Max) && m.AnyNumbers:
		err = errs.New(errs.NotAcceptable, "Unacceptable version header: %s", asked)
	case v < m.Min || v > m.Max:
		err = errs.New(errs.NotAcceptable, "Version %s is not supported by the API. Minimum is %s and maximum is %s.", asked, m.Min, m.Max)
	default:
		c.Version = v
	}
	c.header.Set("OpenStack-API-Version", m.Word+" "+c.Version.String())
	if m.Legacy != "" {
		c.header.Set(m.Legacy, c.Version.String())
	}
	return err
}

func (m *Microversions) asked(c *Call) string {
	for _, header := range c.request.Header.Values("OpenStack-API-Version") {
		for _, part := range strings.Split(header, ",") {
			word, version, _ := strings.Cut(strings.TrimSpace(part), " ")
			if strings.EqualFold(word, m.Word) {
				return strings.ToLower(strings.TrimSpace(version))
			}
		}
	}
	if m.Legacy == "" {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(c.request.Header.Get(m.Legacy)))
}
