// Lengths that lie would make us forward what is not there.
#ifndef V1MODEL_LENGTHS_P4
#define V1MODEL_LENGTHS_P4

control Lengths(inout headers_t hdr, inout metadata_t meta, in bit<32> frame_octets) {
    bit<32> said;
    bit<32> inside;

    apply {
        said = 14;
        if (hdr.vlan.isValid()) {
            said = 18;
        }
        inside = 0;
        if (hdr.ipv6.isValid()) {
            said = said + 40 + (bit<32>)hdr.ipv6.payload_length;
            if (hdr.inner_ipv6.isValid()) {
                inside = 40 + (bit<32>)hdr.inner_ipv6.payload_length;
            } else if (hdr.ipv4.isValid()) {
                inside = (bit<32>)hdr.ipv4.total_length;
            }
            if (hdr.tunnel_option.isValid()) {
                inside = inside + 8;
            }
            if (meta.is_tunnel && inside > (bit<32>)hdr.ipv6.payload_length) {
                meta.inner_malformed = true;
            }
        } else if (hdr.ipv4.isValid()) {
            said = said + (bit<32>)hdr.ipv4.total_length;
        }
        if (hdr.ipv4.isValid() && hdr.ipv4.total_length < 20) {
            meta.inner_malformed = true;
            meta.malformed = meta.malformed || !hdr.ipv6.isValid();
        }
        if (said > frame_octets) {
            meta.malformed = true;
        }
    }
}

#endif
