package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"nacre/internal/clock"
	"nacre/internal/fabric"
	"nacre/internal/identity"
	"nacre/internal/identity/oidc"
	"nacre/internal/identity/saml"
)

// errNoNetwork says what a server needs before nodes can join it.
var errNoNetwork = errors.New("a server needs to know the network of its nodes: set --ovn-north (and --ovn-south for the nodes), or --sim-fabric for simulated ones")

// Config are the settings of a cloud in one process, or of one of its servers. The zero value works,
// given a data folder.
type Config struct {
	// Real runs a real node (QEMU, OVN, volumes on disk); else hosts are simulated.
	Real bool `koanf:"-"`
	// Server runs no host of its own: nodes join (nacre server).
	Server bool `koanf:"-"`
	// Listen is the address of the main listener; "" is 127.0.0.1:5000.
	Listen string `koanf:"listen"`
	// DataDir holds everything that must survive: database, keys, images, guests.
	DataDir string `koanf:"data_dir"`
	// DB is the database: a postgres:// URL or an SQLite file; "" is where the
	// cloud of the data folder was moved to, else nacre.db in it.
	DB string `koanf:"db"`
	// Bus is the message broker between servers, which also gets notifications:
	// amqp://USER:PASSWORD@HOST/VHOST. "" is none: several servers then talk
	// through their database.
	Bus string `koanf:"bus"`
	// Notifications is which of Nova's notifications go to the broker: both,
	// unversioned, versioned, or none at all; "" is both.
	Notifications string `koanf:"notifications"`
	// NotificationOptOut are types of Keystone's notifications that are told to
	// nobody, as its setting of that name has them, with commas; none: all leave;
	// "" is what Keystone leaves out, successful sign-ins.
	NotificationOptOut string `koanf:"notification_opt_out"`
	// PublicURL is what clients reach the cloud by; "" is made from Listen.
	PublicURL string `koanf:"public_url"`
	// Advertise is what nodes and other servers reach this server by, always with
	// TLS; "" is made from Listen.
	Advertise string `koanf:"advertise"`
	// KeyFile has the keys that seal the cloud's secrets in the database; "" is
	// credential-keys in the data folder. All servers of a cloud have the same.
	KeyFile string `koanf:"key_file"`
	// Blobs is the folder with the bytes of images and objects, which all servers
	// of a cloud share; "" is a folder of the data folder.
	Blobs string `koanf:"blobs"`
	// OVNNorth and OVNSouth are the databases of OVN's central part, for servers
	// and for nodes: unix:PATH or tcp:HOST:PORT.
	OVNNorth string `koanf:"ovn_north"`
	OVNSouth string `koanf:"ovn_south"`
	// OVNGateways are the hosts that carry traffic to external networks, with
	// commas between them.
	OVNGateways string `koanf:"ovn_gateways"`
	// SimFabric is where nacre sim-fabric listens: the network of simulated nodes.
	SimFabric string `koanf:"sim_fabric"`
	// Region is the name of the region; "" is RegionOne.
	Region string `koanf:"region"`
	// Hosts is how many hosts are simulated; 0 is 2.
	Hosts int `koanf:"hosts"`
	// Scenario is a file with what happens to the simulated hosts; "" is nothing.
	Scenario string `koanf:"scenario"`
	// PolicyFile overrides policy rules, in the form of oslo.policy.
	PolicyFile string `koanf:"policy_file"`
	// LogLevel is debug, info, warn or error; "" is info.
	LogLevel string `koanf:"log_level"`
	// GuestUser is the account that guests run as; "" is nacre-guest on a real
	// node, made when it is missing.
	GuestUser string `koanf:"guest_user"`
	// External is the range of the external network, of which the host has the
	// first address; "" is 172.24.4.0/24.
	External string `koanf:"external"`
	// PhysicalNetworks are further networks that provider networks may be on, with
	// commas between them: each is a name and, where this machine is a host, the
	// network card that leads there: NAME:CARD.
	PhysicalNetworks string `koanf:"physical_networks"`

	// ImageStores are further stores of images: name=folder, separated by commas;
	// a folder that isn't absolute is in DataDir.
	ImageStores string `koanf:"image_stores"`
	// ImageConversion is what imported images become: raw, or "" for what they are.
	ImageConversion string `koanf:"image_conversion"`
	// PropertyProtectionFile says which roles may do what with which properties of
	// images, in the form of Glance's file of that name.
	PropertyProtectionFile string `koanf:"property_protection_file"`
	// FetchNetworks are networks, separated by commas, that images may be fetched
	// from besides public addresses and the cloud itself.
	FetchNetworks string `koanf:"fetch_networks"`

	// CPUDedicatedSet are the processors of this host, or of each simulated one, that
	// one guest each has alone; CPUSharedSet those that guests float over. They are
	// named and written as Nova's; "" for both is: all are shared.
	CPUDedicatedSet string `koanf:"cpu_dedicated_set"`
	CPUSharedSet    string `koanf:"cpu_shared_set"`
	// ReservedHugePages are not for guests: node:N,size:KIB,count:N, with semicolons
	// between them.
	ReservedHugePages string `koanf:"reserved_huge_pages"`

	// ResizeConfirmWindow is how many seconds a resized or migrated server waits for
	// its confirmation before it counts as confirmed; 0 is for ever.
	ResizeConfirmWindow int `koanf:"resize_confirm_window"`

	// GuestDir is where the first image is built and kept; "" is a folder of the
	// data folder.
	GuestDir string `koanf:"guest_dir"`

	// TokenProvider is the kind of new tokens, as Keystone's setting of that name:
	// fernet or jws; "" is fernet.
	TokenProvider string `koanf:"token_provider"`
	// UnusedImageAge is for how many seconds a host keeps an image that none of its
	// disks is based on, as Nova's setting of that name; 0 is a day, -1 for ever.
	UnusedImageAge int `koanf:"remove_unused_original_minimum_age_seconds"`
	// ShelvedOffloadTime is for how many seconds a shelved server keeps its host; 0
	// is not at all, -1 for ever.
	ShelvedOffloadTime int `koanf:"shelved_offload_time"`

	// MaxAllocationCandidates is how many candidates Placement gives for one request,
	// the best ones; 0 is 10,000.
	MaxAllocationCandidates int `koanf:"max_allocation_candidates"`

	// ReclaimInstanceInterval is for how many seconds deleted servers can be
	// restored; 0 is not at all.
	ReclaimInstanceInterval int `koanf:"reclaim_instance_interval"`

	// Weighers are those of Nova that go before the score of hosts, in this order, with
	// commas between them: build_failure, io_ops; "" is the score alone.
	Weighers string `koanf:"weighers"`

	// HostRules say who may go to which host.
	HostRules HostRules `koanf:",squash"`

	// VendorData is what the operator tells guests.
	VendorData VendorData `koanf:",squash"`

	// OAuth2 is how clients of OAuth 2.0 prove who they are.
	OAuth2 OAuth2 `koanf:",squash"`
	// LimitModel is how the unified limits of projects and of those above them go
	// together: flat or strict_two_level; "" is flat.
	LimitModel string `koanf:"limit_model"`
	// Passwords are rules about passwords and accounts, named as Keystone's. Zero
	// values demand nothing.
	Passwords PasswordRules `koanf:",squash"`

	// Federation says by which identity providers users sign in.
	Federation Federation `koanf:"-"`

	// Fabric is the network of a server's nodes, when a test has made it.
	Fabric fabric.Cluster `koanf:"-"`
	// Clock is where time comes from; nil is the machine's.
	Clock clock.Clock `koanf:"-"`
	// Log gets all events; nil writes text to standard error.
	Log   *slog.Logger   `koanf:"-"`
	level *slog.LevelVar // of Log, when it is ours
}

// Federation are the identity providers by which users sign in, from the section of
// that name of the settings file.
type Federation struct {
	// TrustedDashboards are addresses that tokens of sign-ins in a browser may be
	// sent to, besides the cloud's own dashboard.
	TrustedDashboards []string        `json:"trusted_dashboards"`
	OpenID            []oidc.Settings `json:"openid"`
	SAML              []saml.Settings `json:"saml"`
}

// federationOf reads the section; it knows all words that may stand there.
func federationOf(k *koanf.Koanf) (Federation, error) {
	var f Federation
	if !k.Exists("federation") {
		return f, nil
	}
	text, err := json.Marshal(k.Get("federation"))
	if err != nil {
		return f, fmt.Errorf("read setting federation: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(&f)
	if err != nil {
		return f, fmt.Errorf("read setting federation: %w", err)
	}
	return f, nil
}

// OAuth2 are settings of Keystone's section of that name, and whose certificates
// are taken.
type OAuth2 struct {
	// Methods are tls_client_auth and client_secret_basic; "" is both.
	Methods string `koanf:"oauth2_authn_methods"`
	// Mapping is the id of the mapping that says for whom a certificate is; "" is
	// oauth2_mapping.
	Mapping string `koanf:"oauth2_cert_dn_mapping_id"`
	// ClientCAFile has the authorities of clients' certificates in PEM; "" is none.
	ClientCAFile string `koanf:"oauth2_client_ca_file"`
}

// PasswordRules are rules about passwords and accounts.
type PasswordRules struct {
	LockoutAttempts    int    `koanf:"lockout_failure_attempts"`
	LockoutDuration    int    `koanf:"lockout_duration"` // seconds; 0 is half an hour
	ExpiresDays        int    `koanf:"password_expires_days"`
	MinimumAgeDays     int    `koanf:"minimum_password_age"`
	Unique             int    `koanf:"unique_last_password_count"`
	InactiveDays       int    `koanf:"disable_user_account_days_inactive"`
	ChangeAtFirstUse   bool   `koanf:"change_password_upon_first_use"`
	Pattern            string `koanf:"password_regex"`
	PatternDescription string `koanf:"password_regex_description"`
}

func (r PasswordRules) compliance() identity.Compliance {
	const day = 24 * time.Hour
	if r.LockoutDuration == 0 {
		r.LockoutDuration = 1800
	}
	return identity.Compliance{
		LockoutAttempts: r.LockoutAttempts, LockoutDuration: time.Duration(r.LockoutDuration) * time.Second,
		PasswordLifetime: time.Duration(r.ExpiresDays) * day, MinimumAge: time.Duration(r.MinimumAgeDays) * day, Unique: r.Unique,
		InactiveAfter: time.Duration(r.InactiveDays) * day, ChangeAtFirstUse: r.ChangeAtFirstUse,
		Pattern: r.Pattern, PatternDescription: r.PatternDescription,
	}
}

// Settings lists the names of the settings with their environment variables and
// meanings, for nacre describe config.
func Settings() []Setting {
	return []Setting{
		{"listen", "NACRE_LISTEN", "127.0.0.1:5000", "address of the main listener"},
		{"data_dir", "NACRE_DATA_DIR", "/var/lib/nacre (up), .nacre/dev (dev)", "folder with everything that must survive"},
		{"db", "NACRE_DB", "in data_dir: SQLite, or where the cloud was moved", "database: postgres://USER@HOST/NAME, or an SQLite file"},
		{"bus", "NACRE_BUS", "none", "RabbitMQ broker: amqp://USER:PASSWORD@HOST/VHOST; without one, servers talk through PostgreSQL"},
		{"notifications", "NACRE_NOTIFICATIONS", "both", "which notifications of Nova go to the broker: both, unversioned, versioned; or none of any service"},
		{"notification_opt_out", "NACRE_NOTIFICATION_OPT_OUT", "identity.authenticate.success,identity.authenticate.pending", "types of identity's notifications that are told to nobody, with commas; none: all are told"},
		{"public_url", "NACRE_PUBLIC_URL", "from listen", "what clients reach the cloud by"},
		{"advertise", "NACRE_ADVERTISE", "from listen", "what nodes and other servers reach this server by (https://HOST:PORT)"},
		{"key_file", "NACRE_KEY_FILE", "in data_dir", "keys that seal the cloud's secrets in the database; the same on all servers"},
		{"blobs", "NACRE_BLOBS", "in data_dir", "folder with the bytes of images and objects, shared by all servers"},
		{"ovn_north", "NACRE_OVN_NORTH", "", "OVN's northbound database, for servers: unix:PATH or tcp:HOST:PORT"},
		{"ovn_south", "NACRE_OVN_SOUTH", "", "OVN's southbound database, told to nodes that join"},
		{"ovn_gateways", "NACRE_OVN_GATEWAYS", "", "hosts that carry traffic to external networks, with commas"},
		{"sim_fabric", "NACRE_SIM_FABRIC", "", "where nacre sim-fabric listens, for clusters of simulated nodes"},
		{"region", "NACRE_REGION", "RegionOne", "name of the region"},
		{"hosts", "NACRE_HOSTS", "2", "how many hosts nacre dev simulates"},
		{"scenario", "NACRE_SCENARIO", "", "file with what happens to the hosts that nacre dev simulates; see examples/scenario.yaml"},
		{"policy_file", "NACRE_POLICY_FILE", "", "oslo.policy file that overrides rules"},
		{"log_level", "NACRE_LOG_LEVEL", "info", "debug, info, warn or error"},
		{"guest_user", "NACRE_GUEST_USER", "nacre-guest", "account that guests run as"},
		{"guest_dir", "NACRE_GUEST_DIR", "in data_dir", "where the first image is built and kept"},
		{"image_stores", "NACRE_IMAGE_STORES", "", "further stores of images: name=folder, separated by commas"},
		{"image_conversion", "NACRE_IMAGE_CONVERSION", "", "raw: imported images are converted; else they stay what they are"},
		{"property_protection_file", "NACRE_PROPERTY_PROTECTION_FILE", "", "file with the roles that may touch properties of images, as Glance has it"},
		{"fetch_networks", "NACRE_FETCH_NETWORKS", "", "networks that images may be fetched from besides public addresses"},
		{"external", "NACRE_EXTERNAL", "172.24.4.0/24", "range of the external network"},
		{"physical_networks", "NACRE_PHYSICAL_NETWORKS", "", "further networks for provider networks: NAME:CARD, with commas; servers without a host need the names alone"},
		{"cpu_dedicated_set", "NACRE_CPU_DEDICATED_SET", "", "processors of the host that one guest each has alone: 4-7,12-15"},
		{"cpu_shared_set", "NACRE_CPU_SHARED_SET", "all, or none beside cpu_dedicated_set", "processors that the other guests float over"},
		{"reserved_huge_pages", "NACRE_RESERVED_HUGE_PAGES", "", "huge pages that are not for guests: node:0,size:2048,count:64; with semicolons between several"},
		{"token_provider", "NACRE_TOKEN_PROVIDER", "fernet", "kind of new tokens: fernet or jws (signed by ES256); both are understood"},
		{"federation", "", "", "section of the file: identity providers by which users sign in (openid) and trusted_dashboards; see docs/operations.md"},
		{"remove_unused_original_minimum_age_seconds", "NACRE_REMOVE_UNUSED_ORIGINAL_MINIMUM_AGE_SECONDS", "86400", "seconds for which the host of nacre up keeps images that no disk is based on; -1 is for ever"},
		{"shelved_offload_time", "NACRE_SHELVED_OFFLOAD_TIME", "0 (at once)", "seconds for which shelved servers keep their hosts; -1 is for ever"},
		{"max_allocation_candidates", "NACRE_MAX_ALLOCATION_CANDIDATES", "10000", "how many allocation candidates a request gets that sets no lower limit, the best ones"},
		{"reclaim_instance_interval", "NACRE_RECLAIM_INSTANCE_INTERVAL", "0 (not at all)", "seconds for which deleted servers can be restored"},
		{"weighers", "NACRE_WEIGHERS", "", "what goes before the score of hosts, in this order, with commas: build_failure (failed builds since one worked), io_ops (servers being built, moved or saved)"},
		{"unscoped_extra_specs", "NACRE_UNSCOPED_EXTRA_SPECS", "false", "whether extra specs of flavors without a scope must be in the metadata of a host's aggregates, as Nova's AggregateInstanceExtraSpecsFilter wants it"},
		{"isolated_hosts", "NACRE_ISOLATED_HOSTS", "", "hosts, by name and with commas, that are kept for isolated_images"},
		{"isolated_images", "NACRE_ISOLATED_IMAGES", "", "images, by id and with commas, whose servers go to isolated_hosts alone"},
		{"restrict_isolated_hosts_to_isolated_images", "NACRE_RESTRICT_ISOLATED_HOSTS_TO_ISOLATED_IMAGES", "true", "whether isolated_hosts are for nothing else; else others go there too"},
		{"max_instances_per_host", "NACRE_MAX_INSTANCES_PER_HOST", "0 (any number)", "how many servers a host may have whose aggregates do not say max_instances_per_host"},
		{"max_io_ops_per_host", "NACRE_MAX_IO_OPS_PER_HOST", "0 (any number)", "how many servers of a host may be built, moved or saved at once whose aggregates do not say max_io_ops_per_host"},
		{"vendordata_jsonfile_path", "NACRE_VENDORDATA_JSONFILE_PATH", "", "file with JSON that all guests are told (vendor_data.json), as Nova has it"},
		{"vendordata_dynamic_targets", "NACRE_VENDORDATA_DYNAMIC_TARGETS", "", "services that are asked what a guest is told (vendor_data2.json): NAME@URL, with commas"},
		{"vendordata_dynamic_ssl_certfile", "NACRE_VENDORDATA_DYNAMIC_SSL_CERTFILE", "those of this machine", "authorities of these services' certificates, in PEM"},
		{"vendordata_dynamic_connect_timeout", "NACRE_VENDORDATA_DYNAMIC_CONNECT_TIMEOUT", "5", "seconds in which such a service is reached"},
		{"vendordata_dynamic_read_timeout", "NACRE_VENDORDATA_DYNAMIC_READ_TIMEOUT", "5", "seconds in which it answers then"},
		{"vendordata_dynamic_failure_fatal", "NACRE_VENDORDATA_DYNAMIC_FAILURE_FATAL", "false", "whether one that does not answer fails the build of a server with a config drive, and the guest's request"},
		{"vendordata_dynamic_auth_username", "NACRE_VENDORDATA_DYNAMIC_AUTH_USERNAME", "", "user of this cloud whose token (X-Auth-Token) these services are sent; none if empty"},
		{"vendordata_dynamic_auth_password", "NACRE_VENDORDATA_DYNAMIC_AUTH_PASSWORD", "", "its password"},
		{"vendordata_dynamic_auth_project_name", "NACRE_VENDORDATA_DYNAMIC_AUTH_PROJECT_NAME", "", "the project that the token is for"},
		{"vendordata_dynamic_auth_user_domain_name", "NACRE_VENDORDATA_DYNAMIC_AUTH_USER_DOMAIN_NAME", "Default", "the domain of that user"},
		{"vendordata_dynamic_auth_project_domain_name", "NACRE_VENDORDATA_DYNAMIC_AUTH_PROJECT_DOMAIN_NAME", "Default", "the domain of that project"},
		{"oauth2_authn_methods", "NACRE_OAUTH2_AUTHN_METHODS", "tls_client_auth,client_secret_basic", "how clients of OAuth 2.0 may prove who they are, with commas"},
		{"oauth2_cert_dn_mapping_id", "NACRE_OAUTH2_CERT_DN_MAPPING_ID", "oauth2_mapping", "mapping that says for whom a client's certificate is"},
		{"oauth2_client_ca_file", "NACRE_OAUTH2_CLIENT_CA_FILE", "", "authorities of clients' certificates, in PEM; without it none is taken"},
		{"limit_model", "NACRE_LIMIT_MODEL", "flat", "how unified limits of projects go together: flat or strict_two_level"},
		{"lockout_failure_attempts", "NACRE_LOCKOUT_FAILURE_ATTEMPTS", "0 (never)", "how many wrong passwords lock an account"},
		{"lockout_duration", "NACRE_LOCKOUT_DURATION", "1800", "seconds for which a locked account stays locked"},
		{"password_expires_days", "NACRE_PASSWORD_EXPIRES_DAYS", "0 (never)", "days after which a password must be changed"},
		{"minimum_password_age", "NACRE_MINIMUM_PASSWORD_AGE", "0", "days for which users must keep a password that they have chosen"},
		{"unique_last_password_count", "NACRE_UNIQUE_LAST_PASSWORD_COUNT", "0", "how many last passwords users must not choose again"},
		{"disable_user_account_days_inactive", "NACRE_DISABLE_USER_ACCOUNT_DAYS_INACTIVE", "0 (never)", "days after which an account that nobody uses is disabled"},
		{"change_password_upon_first_use", "NACRE_CHANGE_PASSWORD_UPON_FIRST_USE", "false", "whether users must change a password that an administrator has set"},
		{"password_regex", "NACRE_PASSWORD_REGEX", "", "what a password must match"},
		{"password_regex_description", "NACRE_PASSWORD_REGEX_DESCRIPTION", "", "the same, for users to read"},
	}
}

// Setting is one setting, for people to read.
type Setting struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	Default     string `json:"default"`
	Meaning     string `json:"meaning"`
}

// Load reads settings from a YAML file ("" for none) and, over it, from the
// environment. What stands in base stays where neither says anything.
func Load(base Config, path string) (Config, error) {
	k := koanf.New(".")
	if path != "" {
		err := k.Load(file.Provider(path), yaml.Parser())
		if err != nil {
			return Config{}, fmt.Errorf("read settings %s: %w", path, err)
		}
	}
	err := k.Load(env.Provider(".", env.Opt{Prefix: "NACRE_", TransformFunc: func(key, value string) (string, any) {
		return strings.ToLower(strings.TrimPrefix(key, "NACRE_")), value
	}}), nil)
	if err != nil {
		return Config{}, fmt.Errorf("read settings from the environment: %w", err)
	}
	known := map[string]bool{}
	for _, s := range Settings() {
		known[s.Name] = true
	}
	for _, key := range k.Keys() {
		if !known[key] && !strings.HasPrefix(key, "federation.") {
			return Config{}, fmt.Errorf("there is no setting %s: nacre describe config lists them", key)
		}
	}
	err = k.Unmarshal("", &base)
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	base.Federation, err = federationOf(k)
	return base, err
}

// DownOptions say how far Down goes.
type DownOptions struct {
	All bool // guests, networks, volumes and the data folder too
	Yes bool // without asking
	In  io.Reader
	Out io.Writer
}

// errLinux says what the other systems can do.
var errLinux = errors.New("real hosts need Linux; nacre dev runs everywhere")

// complete fills in defaults and refuses what cannot work.
func (c Config) complete() (Config, error) {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:5000"
	}
	if c.Real && runtime.GOOS != "linux" {
		return c, errLinux
	}
	if c.DataDir == "" {
		return c, errors.New("no data folder is set: use --data-dir")
	}
	var err error
	c.DataDir, err = filepath.Abs(c.DataDir)
	if err != nil {
		return c, fmt.Errorf("find data folder: %w", err)
	}
	if c.DB == "" {
		c.DB, err = databaseOf(c.DataDir)
		if err != nil {
			return c, err
		}
	}
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.DataDir, "credential-keys")
	}
	if c.Blobs == "" {
		c.Blobs = filepath.Join(c.DataDir, "blobs")
	}
	switch c.Notifications {
	case "":
		c.Notifications = "both"
	case "both", "unversioned", "versioned", "none":
	default:
		return c, fmt.Errorf("setting notifications: %q is none of both, unversioned, versioned, none", c.Notifications)
	}
	if c.Region == "" {
		c.Region = "RegionOne"
	}
	if c.Hosts <= 0 {
		c.Hosts = 2
	}
	if c.GuestUser == "" {
		c.GuestUser = "nacre-guest"
	}
	if c.GuestDir == "" {
		c.GuestDir = filepath.Join(c.DataDir, "guest")
	}
	if c.External == "" {
		c.External = "172.24.4.0/24"
	}
	_, err = netip.ParsePrefix(c.External)
	if err != nil {
		return c, fmt.Errorf("setting external: %w", err)
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return c, fmt.Errorf("setting listen: %w", err)
	}
	if c.PublicURL == "" {
		scheme := "https"
		if !c.tls() {
			scheme = "http"
		}
		if host == "" || host == "0.0.0.0" || host == "::" {
			host, err = os.Hostname()
			if err != nil {
				return c, fmt.Errorf("find a name for the public URL: %w", err)
			}
		}
		c.PublicURL = scheme + "://" + net.JoinHostPort(host, port)
	}
	if c.Advertise == "" && c.tls() {
		c.Advertise = c.PublicURL
	}
	if c.Clock == nil {
		c.Clock = clock.Real{}
	}
	if c.Log == nil {
		c.Log, c.level, err = logger(c.LogLevel)
	}
	return c, err
}

// optOut lists the types of identity's notifications that are told to nobody.
func (c Config) optOut() []string {
	switch c.NotificationOptOut {
	case "":
		return identity.KeystoneOptOut
	case "none":
		return nil
	}
	return list(c.NotificationOptOut)
}

// list takes the parts of a setting with commas.
func list(setting string) []string {
	return strings.FieldsFunc(setting, func(r rune) bool { return r == ',' || r == ' ' })
}

// s3Listen is the address of S3: the port behind the main one, since S3's clients
// take the whole path for themselves.
func (c Config) s3Listen() string {
	host, port, err := net.SplitHostPort(c.Listen)
	n, numberErr := strconv.Atoi(port)
	if err != nil || numberErr != nil || n == 0 {
		return net.JoinHostPort(host, "0")
	}
	return net.JoinHostPort(host, strconv.Itoa(n+1))
}

// tls tells whether the listener needs TLS: wherever it isn't loopback, and
// wherever nodes join.
func (c Config) tls() bool {
	if c.Server {
		return true
	}
	host, _, err := net.SplitHostPort(c.Listen)
	return err != nil || !loopback(host)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// logger writes what is at least at a level, which may be changed later.
func logger(level string) (*slog.Logger, *slog.LevelVar, error) {
	l := new(slog.LevelVar)
	if level != "" {
		err := l.UnmarshalText([]byte(level))
		if err != nil {
			return nil, nil, fmt.Errorf("setting log_level: %w", err)
		}
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l})), l, nil
}
