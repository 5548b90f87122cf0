// Table sizes: what every target is asked to guarantee. Where a chip holds less, its target.p4 says so first.
#ifndef COMMON_SIZES_P4
#define COMMON_SIZES_P4

#define SIZE_MY_STATION          64
#define SIZE_INTERFACES          64
#define SIZE_LINK_PORTS          512
#define SIZE_HOME_AGENTS         64
#define SIZE_SIGNALLING          512
#ifndef SIZE_TUNNEL_TERMINATION
#define SIZE_TUNNEL_TERMINATION  65536
#endif
#ifndef SIZE_HOME_SOURCES
#define SIZE_HOME_SOURCES        65536
#endif
#define SIZE_SOURCE_BINDINGS     131072
#define SIZE_HOME_ADDRESSES      65536
#ifndef SIZE_FLOW_BINDINGS
#define SIZE_FLOW_BINDINGS       4096
#endif
#define SIZE_DEFAULT_BINDING     65536
#define SIZE_BALANCERS           16384
#define SIZE_TUNNEL_RATES        16384
#ifndef SIZE_TUNNELS
#define SIZE_TUNNELS             131072
#endif
#define SIZE_ROUTES              4096
#define SIZE_NEXT_HOPS           1024
#define SIZE_PATHS               8192    // in all next hops together
#define SIZE_PATH_GROUP          64      // in one
#define SIZE_PUNT_POLICERS       16

#ifndef SIZE_NEIGHBOUR_PROXY
#define SIZE_NEIGHBOUR_PROXY     65536
#endif
#ifndef SIZE_NETWORK_SOURCES
#define SIZE_NETWORK_SOURCES     16384
#endif
#ifndef SIZE_MOBILE_NETWORKS
#define SIZE_MOBILE_NETWORKS     16384
#endif

#define COUNT_DROP_REASONS       32

#endif
