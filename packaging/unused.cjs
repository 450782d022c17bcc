/** Stands in for packages that dockerode loads and imgmv never uses: see program.ts. */
module.exports = {};
