/* zone_same.h - is a file the arrival that the ledger knows?
 *
 * It is when inode, size and time of modification are those of the ledger. It also is when only the time of modification differs, and
 * the one it has now was set by somebody, not left by writing: many programs write a file, close it, and only then give it the
 * time it had elsewhere (cp -p into place, rsync, curl -R, shutil.copy2).
 *
 * Writing moves that time forward, to the present. So it was set when it went back, or lies behind the last change of the inode. That
 * counts only once, and only for a file that had arrived just as its writer left it: one that had arrived with a time given to it
 * and has another now is another version of it. Nor does it count for a new file that got the inode of the one that was removed
 * (rm, then cp -p; tar -x): it was made after the ledger's was last changed, or, where nobody knows when it was made, the
 * ledger knows that the other is gone.
 */
#ifndef SOURCE_ZONE_SAME_H
#define SOURCE_ZONE_SAME_H
struct ledger_look;
struct zone_look;

/* Longest time between the last write and the last change of the inode (a rename, a change of mode) in a file that counts as just
 * written. */
#define ZONE_FRESH_NS (10 * 1000000000LL)

enum zone_same {
    ZONE_OTHER,   /* an arrival of its own */
    ZONE_SAME,    /* exactly what the ledger has */
    ZONE_RETIMED, /* the same arrival; the ledger is to have the new time */
};
enum zone_same zone_same(const struct ledger_look *known, const struct zone_look *now);

#endif
