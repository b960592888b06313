//! The program; all of it is in the library beside, where the fuzz targets reach it too.

fn main() -> std::process::ExitCode {
    switcher_api_server::run()
}
