package quota

// The resources, by the names that OpenStack's quota calls have for them.
const (
	Instances         = "instances"
	Cores             = "cores"
	RAM               = "ram"       // MiB
	KeyPair           = "key_pairs" // of a user, whose id stands for the project
	ServerGroup       = "server_groups"
	ServerGroupMember = "server_group_members" // in one group
	MetadataItem      = "metadata_items"       // on one server
	InjectedFile      = "injected_files"
	InjectedFileBytes = "injected_file_content_bytes"
	InjectedFilePath  = "injected_file_path_bytes"

	// What compute's calls showed before networks were a service of their own.
	// Clients read and write them; nothing is measured by them.
	OldFixedIP           = "fixed_ips"
	OldFloatingIP        = "floating_ips"
	OldSecurityGroup     = "security_groups"
	OldSecurityGroupRule = "security_group_rules"

	Volume            = "volumes"
	Gigabyte          = "gigabytes"
	Snapshot          = "snapshots"
	Backup            = "backups"
	BackupGigabyte    = "backup_gigabytes"
	PerVolumeGigabyte = "per_volume_gigabytes"
	Group             = "groups"
	Network           = "network"
	Subnet            = "subnet"
	SubnetPool        = "subnetpool"
	Port              = "port"
	Router            = "router"
	FloatingIP        = "floatingip"
	SecurityGroup     = "security_group"
	SecurityGroupRule = "security_group_rule"
	RBACPolicy        = "rbac_policy"
	Trunk             = "trunk"
	ImageCount        = "image_count_total"
	ImageUploading    = "image_count_uploading" // on their way in
	ImageSize         = "image_size_total"      // MiB in stores
	ImageStaged       = "image_stage_total"     // MiB that wait for their import
)

// defaults are OpenStack's.
var defaults = map[string]int64{
	Instances: 10, Cores: 20, RAM: 51200,
	KeyPair: 100, ServerGroup: 10, ServerGroupMember: 10, MetadataItem: 128,
	InjectedFile: 5, InjectedFileBytes: 10240, InjectedFilePath: 255,

	Volume: 10, Gigabyte: 1000, Snapshot: 10, Backup: 10, BackupGigabyte: 1000,
	PerVolumeGigabyte: Unlimited, Group: 10,

	Network: 100, Subnet: 100, SubnetPool: Unlimited, Port: 500, Router: 10, FloatingIP: 50,
	SecurityGroup: 10, SecurityGroupRule: 100, RBACPolicy: 10, Trunk: Unlimited,
}

// Default is the limit of a resource that nobody set another for. Resources
// outside the table, such as the gigabytes of one volume type, have none.
func Default(resource string) int64 {
	limit, known := defaults[resource]
	if !known {
		return Unlimited
	}
	return limit
}

// Servers is an amount of servers.
func Servers(n int) Item { return Item{Instances, int64(n)} }

// VCPUs is an amount of virtual cores.
func VCPUs(n int) Item { return Item{Cores, int64(n)} }

// Memory is an amount of memory in MiB.
func Memory(mib int) Item { return Item{RAM, int64(mib)} }

// KeyPairs is an amount of key pairs.
func KeyPairs(n int) Item { return Item{KeyPair, int64(n)} }

// ServerGroups is an amount of server groups.
func ServerGroups(n int) Item { return Item{ServerGroup, int64(n)} }

// Volumes is an amount of volumes.
func Volumes(n int) Item { return Item{Volume, int64(n)} }

// Gigabytes is an amount of GiB in volumes and snapshots.
func Gigabytes(n int) Item { return Item{Gigabyte, int64(n)} }

// Snapshots is an amount of volume snapshots.
func Snapshots(n int) Item { return Item{Snapshot, int64(n)} }

// Networks is an amount of networks.
func Networks(n int) Item { return Item{Network, int64(n)} }

// Subnets is an amount of subnets.
func Subnets(n int) Item { return Item{Subnet, int64(n)} }

// Ports is an amount of ports.
func Ports(n int) Item { return Item{Port, int64(n)} }

// Routers is an amount of routers.
func Routers(n int) Item { return Item{Router, int64(n)} }

// FloatingIPs is an amount of floating IPs.
func FloatingIPs(n int) Item { return Item{FloatingIP, int64(n)} }

// Trunks are trunks.
func Trunks(n int) Item { return Item{Trunk, int64(n)} }

// SecurityGroups is an amount of security groups.
func SecurityGroups(n int) Item { return Item{SecurityGroup, int64(n)} }

// SecurityGroupRules is an amount of security group rules.
func SecurityGroupRules(n int) Item { return Item{SecurityGroupRule, int64(n)} }

// RBACPolicies is an amount of RBAC policies.
func RBACPolicies(n int) Item { return Item{RBACPolicy, int64(n)} }

// SubnetPools is an amount of subnet pools.
func SubnetPools(n int) Item { return Item{SubnetPool, int64(n)} }
