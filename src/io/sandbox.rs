//! What this process and all that it starts can never do again: rights given up, files out of reach (Landlock), system
//! calls refused (seccomp). To be called while it has one thread; those that follow inherit it.
//!
//! What is laid stays through execve, and a program that takes our place is under it too. So system calls are refused by
//! name and everything else allowed: a later version finds every ordinary call, and where it does not, its trial says so
//! before anything has changed. Files are allowed by folder, so that one that is replaced is still the one that is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use caps::Capability;
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use nix::fcntl::AtFlags;
use nix::unistd::AccessFlags;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::capabilities;

/// What stays within reach.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Files that are read again when the configuration is; others may take their place in the same folder.
    pub files: Vec<PathBuf>,
    /// The folder in which files are made, changed and removed.
    pub runtime_dir: PathBuf,
    /// The program that may take our place, and others in its folder.
    pub program: PathBuf,
    /// Whether real-time scheduling and locked memory need their capabilities.
    pub realtime: bool,
    /// Whether the program before us in this process said that files and system calls are restricted already.
    pub laid: bool,
}

/// Something that was not restricted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Goes on from "cannot".
    pub what: &'static str,
    /// The reason.
    pub why: String,
}

/// Gives up what is not needed; what could not be, in words. What has been given up cannot be had again.
pub fn enter(needs: &Needs) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut note = |what, result: Result<(), String>| {
        if let Err(why) = result {
            missing.push(Missing { what, why });
        }
    };
    let mut kept = vec![Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];
    if needs.realtime {
        kept.extend([Capability::CAP_SYS_NICE, Capability::CAP_IPC_LOCK]);
    }
    if let Err(path) = reachable_without_rights(needs) {
        note("give up CAP_DAC_OVERRIDE", Err(format!("{} is not ours: make it so (chown)", path.display())));
        kept.push(Capability::CAP_DAC_OVERRIDE);
    }
    note("give up capabilities", capabilities::keep_only(&kept).map_err(|error| error.to_string()));
    note("give up new privileges", nix::sys::prctl::set_no_new_privs().map_err(|error| error.to_string()));
    if !(needs.laid && files_are_restricted()) {
        note("restrict files with Landlock", restrict_files(needs));
    }
    if !(needs.laid && calls_are_restricted()) {
        note("restrict system calls with seccomp", restrict_calls());
    }
    missing
}

/// Whether files out of reach are so: nothing that we do needs to list the root folder.
fn files_are_restricted() -> bool {
    fs::read_dir("/").is_err()
}

/// Whether a refused system call is: this one asks for nothing and is otherwise granted to everybody.
fn calls_are_restricted() -> bool {
    nix::sched::unshare(nix::sched::CloneFlags::empty()).is_err()
}

/// Root reads and writes everything by a capability, whoever owns it. The path that needs it, if there is one.
fn reachable_without_rights(needs: &Needs) -> Result<(), PathBuf> {
    let Ok(rights) = caps::read(None, caps::CapSet::Effective) else { return Ok(()) };
    if caps::set(None, caps::CapSet::Effective, &caps::CapsHashSet::new()).is_err() {
        return Ok(());
    }
    let at = |path: &Path, flags| nix::unistd::faccessat(nix::fcntl::AT_FDCWD, path, flags, AtFlags::AT_EACCESS);
    let files = needs.files.iter().find(|file| at(file, AccessFlags::R_OK) == Err(nix::errno::Errno::EACCES));
    let folder = at(&needs.runtime_dir, AccessFlags::W_OK | AccessFlags::X_OK) == Err(nix::errno::Errno::EACCES);
    let found = files.cloned().or_else(|| folder.then(|| needs.runtime_dir.clone()));
    // It was ours a moment ago; without it what follows fails and is told.
    caps::set(None, caps::CapSet::Effective, &rights).ok();
    found.map_or(Ok(()), Err)
}

/// The folders of a file: where its name is, and where it leads to.
fn folders(file: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = |path: PathBuf| path.parent().map(Path::to_owned);
    let named = std::path::absolute(file).ok().and_then(folder);
    let real = fs::canonicalize(file).ok().and_then(folder);
    named.into_iter().chain(real)
}

/// The files that this program consists of, its libraries and what loads them included.
fn own_files() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = |line: &str| line.find('/').and_then(|at| line.get(at..)).map(PathBuf::from);
    maps.lines().filter_map(path).collect()
}

fn restrict_files(needs: &Needs) -> Result<(), String> {
    let abi = ABI::V5;
    let read = AccessFs::from_read(abi) & !AccessFs::Execute;
    let run = AccessFs::from_read(abi);
    let reading: BTreeSet<PathBuf> = needs.files.iter().flat_map(|file| folders(file)).collect();
    let running: BTreeSet<PathBuf> =
        own_files().iter().chain([&needs.program]).flat_map(|file| folders(file)).collect();
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let fixed = [("/proc", read), ("/dev/null", device), (ZONE, AccessFs::ReadFile.into())];
    let rules = fixed.into_iter().map(|(path, access)| (PathBuf::from(path), access));
    let rules = rules.chain(reading.into_iter().map(|path| (path, read)));
    let rules = rules.chain(running.into_iter().map(|path| (path, run)));
    let rules = rules.chain([(needs.runtime_dir.clone(), AccessFs::from_all(abi) & !AccessFs::Execute)]);
    let failed = |error: landlock::RulesetError| error.to_string();
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let mut ruleset = ruleset.handle_access(AccessFs::from_all(abi)).map_err(failed)?.create().map_err(failed)?;
    for (path, access) in rules {
        // What does not exist cannot be reached either.
        if let Ok(folder) = PathFd::new(&path) {
            ruleset = ruleset.add_rule(PathBeneath::new(folder, access)).map_err(failed)?;
        }
    }
    match ruleset.restrict_self().map_err(failed)?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => {
            Err("this kernel does not have it (Linux 5.13, and `landlock` among its modules)".to_owned())
        }
    }
}

/// The time zone, which a line of the log may need.
const ZONE: &str = "/etc/localtime";

/// What an agent never does, and what whoever has taken it over would begin with.
const REFUSED: &[libc::c_long] = &[
    // Other processes, and the kernel itself.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_personality,
    // Namespaces and file systems.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // The clock, the name of the host, keys.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Other users.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_fchown,
    libc::SYS_fchownat,
];

/// The families of sockets that there is a use for.
const FAMILIES: [libc::c_int; 5] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];

/// Flags of clone that make a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

fn restrict_calls() -> Result<(), String> {
    let refused = filter(refusals().map_err(|error| error.to_string())?, libc::EPERM)?;
    // Its flags are out of a filter's sight. Who is told that there is no such call uses clone.
    let hidden = filter(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?;
    for program in [refused, hidden] {
        seccompiler::apply_filter(&program).map_err(|error| format!("this kernel does not take it: {error}"))?;
    }
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn filter(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, String> {
    let number = errno.unsigned_abs();
    let architecture = std::env::consts::ARCH.try_into();
    let architecture = architecture.map_err(|_| format!("no filter for {}", std::env::consts::ARCH))?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(number), architecture)
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())
}

fn refusals() -> Result<Rules, seccompiler::BackendError> {
    use SeccompCmpOp::{MaskedEq, Ne};
    let condition = |argument, operator, value: libc::c_int| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value.unsigned_abs()))
    };
    let has = |argument, bits: libc::c_int| {
        condition(argument, MaskedEq(u64::from(bits.unsigned_abs())), bits).and_then(|has| SeccompRule::new(vec![has]))
    };
    let mut rules: Rules = REFUSED.iter().map(|number| (*number, Vec::new())).collect();
    let unknown = FAMILIES.iter().map(|family| condition(0, Ne, *family)).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(unknown)?]);
    let namespaces = NAMESPACES.iter().map(|flag| has(0, *flag)).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_clone, namespaces);
    // Memory that is written and then run.
    rules.insert(libc::SYS_mmap, vec![has(2, libc::PROT_WRITE | libc::PROT_EXEC)?]);
    rules.insert(libc::SYS_mprotect, vec![has(2, libc::PROT_EXEC)?]);
    rules.insert(libc::SYS_pkey_mprotect, vec![has(2, libc::PROT_EXEC)?]);
    Ok(rules)
}
