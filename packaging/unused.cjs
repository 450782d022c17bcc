/** Stands in for packages that dockerode loads and imgmv never uses: see bundle.ts. */
module.exports = {};
